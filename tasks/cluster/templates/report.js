// Search: an entry stays when each word is in its name, in its descriptions or in what they lead to.
const search = document.querySelector("input[type=search]");
const lists = [...document.querySelectorAll(".browse > div")].map((list) => ({
  count: list.querySelector("h3 .muted"),
  entries: [...list.querySelectorAll("details")].map((element) => ({ element, text: element.textContent.toLowerCase() })),
}));
search.addEventListener("input", filter);
filter();

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { count, entries } of lists) {
    let shown = 0;
    for (const { element, text } of entries) {
      element.hidden = !words.every((word) => text.includes(word));
      shown += !element.hidden;
    }
    count.textContent = shown === entries.length ? shown : `${shown} of ${entries.length}`;
  }
}

// A link to an entry opens it, also when the search had left it out.
window.addEventListener("hashchange", open);
document.addEventListener("click", (event) => {
  // A second click on the same link changes no hash.
  if (event.target.closest("a")?.hash === location.hash) open();
});
open();

function open() {
  const entry = location.hash && document.querySelector(`.browse details${location.hash}`);
  if (!entry) return;
  if (entry.hidden) {
    search.value = "";
    filter();
  }
  entry.open = true;
  entry.scrollIntoView({ block: "nearest" });
}

// The map: a point shows what it says, and lights up its property.
const map = document.querySelector(".map svg");
const caption = document.getElementById("caption");
let fixed = false;
map.addEventListener("pointerover", (event) => fixed || light(event.target.closest("circle")));
map.addEventListener("pointerleave", () => fixed || light(null));
map.addEventListener("click", (event) => {
  const circle = event.target.closest("circle");
  fixed = Boolean(circle);
  light(circle);
});

function light(circle) {
  map.querySelector("g.lit")?.classList.remove("lit");
  map.classList.toggle("lit", Boolean(circle));
  caption.replaceChildren("\u00a0");
  if (!circle) return;
  const group = circle.parentNode;
  group.classList.add("lit");
  const link = document.createElement("a");
  link.href = `#property-${group.dataset.property}`;
  link.textContent = group.dataset.name;
  caption.replaceChildren(circle.textContent, document.createElement("br"), link);
}
