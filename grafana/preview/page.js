// Draws each figure into its panel, from top to bottom; `drawn` is a promise for whoever takes a picture.
const scripts = [...document.querySelectorAll("script.figure")];
const plots = scripts.map((script) => script.parentElement.querySelector(".plot"));
async function draw() {
  for (const [number, script] of scripts.entries()) {
    const { data, layout } = JSON.parse(script.textContent);
    await Plotly.newPlot(plots[number], data, layout, { displayModeBar: false });
  }
}
window.drawn = draw();

// Only for another width: a browser that takes a picture changes the height, and would catch plots half redrawn.
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;
  width = window.innerWidth;
  plots.forEach((plot) => Plotly.Plots.resize(plot));
});
