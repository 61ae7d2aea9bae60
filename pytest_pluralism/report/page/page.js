"use strict";
// The page is whole without this script: it adds sorting, filtering, and opening and closing everything.
(() => {
  const body = document.body;

  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  const rowsOf = (table) => Array.from(table.tBodies[0].rows);

  const compare = (column, sign) => (one, other) => {
    const [a, b] = [one.cells[column], other.cells[column]];
    if (a.hasAttribute("data-v")) {
      const [x, y] = [a.dataset.v, b.dataset.v];
      // What has no number stands last in both directions.
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (Number(x) - Number(y));
    }
    return sign * a.textContent.trim().localeCompare(b.textContent.trim(), undefined, { numeric: true });
  };

  const sortBy = (table, header) => {
    const headers = Array.from(header.parentNode.cells);
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of headers) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = rowsOf(table);
    rows.sort(compare(headers.indexOf(header), descending ? -1 : 1));
    table.tBodies[0].append(...rows);
  };

  const filterBox = (table) => {
    const what = table.dataset.what;
    const status = make("span", { className: "muted" });
    status.setAttribute("role", "status");
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    let texts = null;
    const apply = () => {
      const rows = rowsOf(table);
      texts ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += !row.hidden;
      }
      status.textContent = words.length ? `${shown} of ${rows.length} ${what} shown` : "";
    };
    let waiting;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, 80);
    });
    return make("div", { className: "tools" }, make("label", {}, `Filter ${what} `, input), status);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      if ("fixed" in header.dataset) continue;
      const button = make("button", { type: "button" }, ...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, header));
    }
    if (rowsOf(table).length > 5) table.closest(".wide").before(filterBox(table));
  }

  const gates = Array.from(document.querySelectorAll("details.gate"));
  const setAll = (open) => gates.forEach((gate) => { gate.open = open; });
  if (gates.length > 1) {
    const open = make("button", { type: "button" }, "Open all");
    const close = make("button", { type: "button" }, "Close all");
    open.addEventListener("click", () => setAll(true));
    close.addEventListener("click", () => setAll(false));
    gates[0].before(make("div", { className: "tools" }, open, close));
  }

  // A link to what is folded away opens it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at && at !== body; at = at.parentElement) if (at.localName === "details") at.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash.length > 1) reveal();

  // Paper cannot be clicked.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = gates.filter((gate) => !gate.open);
    setAll(true);
  });
  addEventListener("afterprint", () => folded.forEach((gate) => { gate.open = false; }));
})();
