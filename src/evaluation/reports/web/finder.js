// Find samples by the page's `quantities`; the found ones are lit in all figures. A button shows the `brief` of one.
const PAGE = 24; // thumbnails at once
let sprite = null; // the picture that holds all thumbnails
const finder = { rows: [], first: 0 };

const grouped = (count) => count.toLocaleString("en"); // 1,638

function thumbnail(row) {
  const { width, height, columns } = data.thumbnails;
  return coloured(sprite, (row % columns) * width, Math.floor(row / columns) * height, width, height);
}

function showFound() {
  const place = document.getElementById("found");
  const rows = finder.rows.slice(finder.first, finder.first + PAGE);
  place.replaceChildren(...rows.map((row) => {
    const picture = sprite ? [thumbnail(row)] : [];
    picture.forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
    const words = brief(row);
    return element("button", { type: "button", "data-row": row, "aria-current": row === selection.row ? "true" : null, onclick: () => select(row) }, ...picture, words);
  }));
  const last = finder.first + rows.length;
  document.getElementById("shown").textContent = rows.length ? `${finder.first + 1} to ${last} of ${grouped(finder.rows.length)}` : "none";
  document.getElementById("earlier").disabled = finder.first === 0;
  document.getElementById("later").disabled = last >= finder.rows.length;
}

function addFinder() {
  const form = document.getElementById("filter"), { quantity, low, high, order } = form.elements;
  const known = quantities();
  for (const select of [quantity, order]) select.append(...known.map(([name], at) => element("option", { value: at }, name)));
  const sort = () => {
    const [, of] = known[order.value];
    const sign = form.elements.direction.value === "up" ? 1 : -1;
    finder.rows = Array.from({ length: data.count }, (_, row) => row).filter(isKept).sort((a, b) => sign * (of(a) - of(b)));
    finder.first = 0;
    document.getElementById("count").textContent = `${grouped(selection.count)} of ${grouped(data.count)} ${data.samples}`;
    showFound();
  };
  const filter = () => {
    const [, of] = known[quantity.value];
    const [from, to] = [low, high].map((field) => (field.value === "" ? NaN : Number(field.value)));
    if (Number.isNaN(from) && Number.isNaN(to)) return keep(null);
    return keep((row) => !(of(row) < from) && !(of(row) > to) && Number.isFinite(of(row)));
  };
  form.addEventListener("input", (event) => ([order, form.elements.direction].includes(event.target) ? sort() : filter()));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { filter(); sort(); }));
  const turn = (step) => () => { finder.first += step; showFound(); };
  document.getElementById("earlier").addEventListener("click", turn(-PAGE));
  document.getElementById("later").addEventListener("click", turn(PAGE));
  listeners.push((filtered) => {
    if (filtered) return sort();
    for (const button of document.querySelectorAll("#found button")) {
      if (Number(button.dataset.row) === selection.row) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    return undefined;
  });
  sort();
}

async function loadThumbnails() {
  if (!data.thumbnails) return;
  sprite = await loadPicture(data.thumbnails.url);
  showFound();
}
