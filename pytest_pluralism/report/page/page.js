"use strict";
// The verdicts are whole without this script: it adds pages, sorting, filtering, copying and a second run.
(() => {
  const body = document.body;
  const PAGE = 50;

  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // ------------------------------------------------------------------------------------------------ tables and lists

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

  // Shows the rows of a table, or the items of a list, a page at a time; those of other pages stay outside the document.
  const paged = (holder, frame, what, rows) => {
    let shown = rows;
    let page = 0;
    let texts = null;
    const status = make("span", { className: "muted" });
    status.setAttribute("role", "status");
    const back = make("button", { type: "button" }, "Previous");
    const on = make("button", { type: "button" }, "Next");
    const where = make("span", { className: "muted" });
    const show = () => {
      const last = Math.max(Math.ceil(shown.length / PAGE) - 1, 0);
      page = Math.min(Math.max(page, 0), last);
      holder.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE));
      back.disabled = page === 0;
      on.disabled = page === last;
      where.textContent = `${shown.length ? page * PAGE + 1 : 0} to ${Math.min((page + 1) * PAGE, shown.length)} of ${shown.length}`;
    };
    back.addEventListener("click", () => { page -= 1; show(); });
    on.addEventListener("click", () => { page += 1; show(); });
    if (rows.length > 5) {
      const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
      let waiting;
      const apply = () => {
        texts ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        shown = rows.filter((row) => words.every((word) => texts.get(row).includes(word)));
        status.textContent = words.length ? `${shown.length} of ${rows.length} ${what} shown` : "";
        page = 0;
        show();
      };
      input.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(apply, 80);
      });
      frame.before(make("div", { className: "tools" }, make("label", {}, `Filter ${what} `, input), status));
    }
    if (rows.length > PAGE) frame.after(make("div", { className: "tools pages" }, back, where, on));
    show();
    return (order) => {
      rows.sort(order);
      shown.sort(order);
      page = 0;
      show();
    };
  };

  const sortable = (table) => {
    const rows = Array.from(table.tBodies[0].rows);
    const resort = paged(table.tBodies[0], table.closest(".wide"), table.dataset.what, rows);
    const headers = Array.from(table.tHead.rows[0].cells);
    headers.forEach((header, place) => {
      if ("fixed" in header.dataset) return;
      const button = make("button", { type: "button" }, ...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const descending = header.getAttribute("aria-sort") === "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        resort(compare(place, descending ? -1 : 1));
      });
    });
  };

  const enhance = (part) => {
    for (const table of part.querySelectorAll("table.sortable")) sortable(table);
    for (const list of part.querySelectorAll("ul.paged")) paged(list, list, list.dataset.what, Array.from(list.children));
  };

  // --------------------------------------------------------------------------------------- what is made when it opens

  // Scripts see the content of a noscript element as text, so that it costs nothing until somebody opens it.
  const fill = (details) => {
    for (const lazy of details.querySelectorAll(":scope > noscript.lazy")) {
      const part = new DOMParser().parseFromString(lazy.textContent, "text/html").body;
      const nodes = Array.from(part.childNodes);
      lazy.replaceWith(...nodes);
      for (const node of nodes) if (node.nodeType === Node.ELEMENT_NODE) enhance(node.parentNode === details ? wrap(node) : node);
    }
  };
  const wrap = (node) => ({ querySelectorAll: (wanted) => [...(node.matches(wanted) ? [node] : []), ...node.querySelectorAll(wanted)] });

  // Without scripts a unit links to its prompt in the last section; with them the prompt takes the place of the link.
  const prompts = document.getElementById("prompts");
  let texts = null;
  const addPrompt = (details) => {
    const link = details.querySelector(":scope > p > a.prompt");
    if (!link || !prompts) return;
    texts ??= new DOMParser().parseFromString(prompts.textContent, "text/html");
    const found = texts.getElementById(link.hash.slice(1));
    if (!found) return;
    const pre = make("pre", { className: "prompt", tabIndex: 0 }, found.querySelector("pre").textContent);
    pre.setAttribute("aria-label", "The prompt");
    pre.setAttribute("role", "group");
    link.parentNode.replaceWith(make("p", { className: "muted" }, "The prompt, the first of its repetitions:"), pre);
  };

  document.addEventListener("toggle", (event) => {
    if (event.target.localName !== "details" || !event.target.open) return;
    fill(event.target);
    addPrompt(event.target);
  }, true);

  // --------------------------------------------------------------------------------------------------------- sections

  const parts = Array.from(document.querySelectorAll("section.part"));
  const links = Array.from(document.querySelectorAll("nav.parts a"));
  const mark = () => {
    // The last section that begins above the middle of the screen is the one that is read.
    const at = parts.filter((part) => part.getBoundingClientRect().top < innerHeight / 2).pop() || parts[0];
    for (const link of links) {
      if (link.hash === `#${at.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  let marking = 0;
  addEventListener("scroll", () => {
    cancelAnimationFrame(marking);
    marking = requestAnimationFrame(mark);
  }, { passive: true });

  // A link to what is folded away opens it.
  const reveal = () => {
    let target = null;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch { /* A hash that is no text leads nowhere. */ }
    for (let at = target; at && at !== body; at = at.parentElement) {
      if (at.localName === "details") { at.open = true; fill(at); }
    }
    if (target) target.scrollIntoView();
    mark();
  };
  addEventListener("hashchange", reveal);

  // ----------------------------------------------------------------------------------------------- gates and commands

  const gates = Array.from(document.querySelectorAll("details.gate"));
  const setAll = (open) => gates.forEach((gate) => { gate.open = open; });
  if (gates.length > 1) {
    const open = make("button", { type: "button" }, "Open all");
    const close = make("button", { type: "button" }, "Close all");
    open.addEventListener("click", () => setAll(true));
    close.addEventListener("click", () => setAll(false));
    gates[0].before(make("div", { className: "tools" }, open, close));
  }
  for (const command of document.querySelectorAll("p.command")) {
    const code = command.querySelector("code");
    const copy = make("button", { type: "button", className: "copy" }, "Copy");
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        copy.textContent = "Selected";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
    command.append(" ", copy);
  }

  // ------------------------------------------------------------------------------------------------------ another run

  const mine = Array.from(document.querySelectorAll("#verdicts tbody tr"), (row) => ({
    key: row.cells[0].dataset.key,
    title: row.querySelector("th a").textContent,
    model: row.cells[row.cells.length - 1].textContent,
    outcome: row.cells[0].dataset.outcome,
    value: row.querySelector("td.number").dataset.v,
  }));
  // Marks of direction and what is not seen would let one name stand for another.
  const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
  const outcome = (entry) => {
    const gate = entry.gate || {};
    const stored = entry.baseline && entry.baseline.stored === true && !["at_most", "at_least", "better_than"].some((bound) => bound in gate);
    return stored && entry.outcome === "passed" ? "stored" : plain(entry.outcome);
  };
  const shown = (value) => value === "" || value === null || value === undefined ? "–" : Number(value).toFixed(3);
  const beside = document.getElementById("compare");
  if (beside && mine.length) {
    const place = make("div", {});
    const input = make("input", { type: "file", accept: ".json,application/json" });
    const told = make("p", {}, "");
    told.setAttribute("role", "status");
    input.addEventListener("change", async () => {
      place.replaceChildren();
      try {
        const other = JSON.parse(await input.files[0].text());
        if (!String(other.schema).startsWith("pytest-pluralism/report/")) throw new Error("this is not a JSON report");
        const rows = mine.map((one) => {
          const same = other.verdicts.filter((entry) => `${entry.test || entry.nodeid} ${entry.key}` === one.key);
          const entry = same.find((found) => found.model && found.model.name === one.model) || same[0];
          const value = entry && entry.estimate ? entry.estimate.value : null;
          const change = one.value !== "" && typeof value === "number" ? Number(one.value) - value : null;
          return [one.title, one.outcome, shown(one.value), entry ? outcome(entry) : "not there", shown(value),
            change === null ? "–" : (change >= 0 ? "+" : "") + change.toFixed(3), entry && entry.model ? plain(entry.model.name) : "–"];
        });
        const cell = (words, column) => column ? make("td", { className: column === 1 || column === 3 || column === 6 ? "" : "number" }, words) : make("th", { scope: "row" }, words);
        const heads = ["Promise", "This run", "Value", "Other run", "Value there", "Difference", "Model there"];
        const table = make("table", {},
          make("caption", {}, `This run beside ${input.files[0].name}. A difference between two values has no interval: a promise with a baseline has one.`),
          make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
          make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
        const frame = make("div", { className: "wide", tabIndex: 0 }, table);
        frame.setAttribute("role", "group");
        frame.setAttribute("aria-label", "Two runs side by side");
        place.append(frame);
        const ended = other.run && other.run.complete === false ? " The other run did not come to its end, and verdicts are missing there." : "";
        told.textContent = `${rows.filter((row) => row[3] !== "not there").length} of ${rows.length} promises are in both runs.${ended}`;
      } catch (error) {
        told.textContent = `The file cannot be read: ${error.message}.`;
      }
    });
    beside.append(make("p", {}, make("label", {}, "The JSON report of another run ", input)),
      make("p", { className: "muted" }, "The file is read here and sent nowhere."), told, place);
  }

  // ---------------------------------------------------------------------------------------------------------- on paper

  // One page says whether the model may be released; the rest is printed where somebody asks for it.
  const print = make("button", { type: "button" }, "Print with all promises");
  let folded = [];
  print.addEventListener("click", () => {
    body.dataset.print = "all";
    window.print();
  });
  addEventListener("beforeprint", () => {
    folded = gates.filter((gate) => !gate.open);
    setAll(true);
  });
  addEventListener("afterprint", () => {
    delete body.dataset.print;
    folded.forEach((gate) => { gate.open = false; });
  });
  if (gates.length) gates[0].parentNode.append(make("div", { className: "tools" }, print));

  for (const table of document.querySelectorAll("table.sortable")) sortable(table);
  for (const one of document.querySelectorAll("details[open]")) fill(one);
  if (location.hash.length > 1) reveal();
  else mark();
  document.documentElement.classList.add("ready");
})();
