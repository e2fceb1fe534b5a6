// Draws each figure into the element before it; `drawn` is a promise for whoever takes a picture.
const figures = [...document.querySelectorAll("script.figure")];
window.drawn = Promise.all(
  figures.map((script) => {
    const { data, layout } = JSON.parse(script.textContent);
    const plot = script.parentElement.querySelector(".plot");
    return Plotly.newPlot(plot, data, layout, { responsive: true, displayModeBar: false });
  }),
).then(() => figures.length);
