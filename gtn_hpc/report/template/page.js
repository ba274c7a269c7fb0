// Charts, their tooltips with drawings, and the sliders over steps.
"use strict";

const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
};

let drawings = {};
unpack(document.getElementById("drawings").textContent).then((found) => { drawings = found; });

const tooltip = {
  formatTooltip: (value, sanitize) => {
    if (typeof value !== "object") return sanitize(value);
    const rows = Object.entries(value).map(([name, text]) =>
      `<tr><th scope="row">${sanitize(name)}</th><td>${sanitize(text)}</td></tr>`);
    return `<table>${rows.join("")}</table>${drawings[value.architecture] ?? ""}`;
  },
};

for (const figure of document.querySelectorAll("figure:has(> .chart)")) {
  const spec = JSON.parse(figure.querySelector(".spec").textContent);
  vegaEmbed(figure.querySelector(".chart"), spec, { renderer: "svg", actions: false, tooltip })
    .catch((error) => console.error(error));
}

for (const lesson of document.querySelectorAll(".lesson")) {
  const sheets = lesson.querySelectorAll(".strip li");
  const slider = lesson.querySelector("input");
  const image = lesson.querySelector(".viewer img");
  slider.addEventListener("input", () => {
    const sheet = sheets[slider.value - 1];
    const label = sheet.querySelector("span").textContent;
    image.src = sheet.querySelector("img").src;
    image.alt = `Synthetic images of ${label}`;
    lesson.querySelector("output").textContent = label;
    slider.setAttribute("aria-valuetext", label);
  });
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
