// Sorts a table by the column whose heading is clicked: numbers from the largest, text from A; again turns it round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.addEventListener("click", () => sort(table, headings, column)));
}

function sort(table, headings, column) {
  const heading = headings[column];
  const first = heading.classList.contains("number") ? "descending" : "ascending";
  const second = first === "descending" ? "ascending" : "descending";
  const order = heading.getAttribute("aria-sort") === first ? second : first;
  headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? order : "none"));
  const sign = order === "descending" ? -1 : 1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
  table.tBodies[0].append(...rows);
}

function compare(a, b, sign) {
  if (a.dataset.value === undefined) return sign * a.textContent.trim().localeCompare(b.textContent.trim());
  const [x, y] = [Number(a.dataset.value), Number(b.dataset.value)];
  // What has no value comes last in either order.
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
  return sign * (x - y);
}
