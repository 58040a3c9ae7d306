"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const boxes = [...document.querySelectorAll("select")];
const told = document.getElementById("told");
const chosen = () => boxes.filter(box => box.value !== "");
const tell = () => { told.textContent = `${chosen().length} of ${boxes.length} labeled`; };
document.getElementById("download").addEventListener("click", () => {
  if (!chosen().length) {
    told.textContent = "Choose a class first.";
    return;
  }
  const lines = chosen().map(box => `${data.lines[box.dataset.row]},${data.classes[box.value]}`);
  const content = [data.header, ...lines, ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
});
boxes.forEach(box => box.addEventListener("change", tell));
tell();
