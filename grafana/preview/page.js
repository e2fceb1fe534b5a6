// Draws each figure into its panel, from top to bottom; `drawn` is a promise that screenshots await.
// The page has one width, on screen and on paper, so that nothing is drawn a second time.
const scripts = [...document.querySelectorAll("script.figure")];
async function draw() {
  for (const script of scripts) {
    const { data, layout } = JSON.parse(script.textContent);
    await Plotly.newPlot(script.parentElement.querySelector(".plot"), data, layout, { displayModeBar: false });
  }
}
window.drawn = draw();
