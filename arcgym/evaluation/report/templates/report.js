"use strict";
(() => {
  const PAGE = 20; // tasks shown at first, and by each "Show more"
  const get = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (parent, tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };

  // --- Theme ---

  const recall = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not allowed here */ } };
  const theme = get("theme");
  const setTheme = () => {
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  };
  theme.value = recall("arcgym-theme") || "";
  if (theme.selectedIndex < 0) theme.value = "";
  setTheme();
  theme.addEventListener("change", () => { setTheme(); remember("arcgym-theme", theme.value); });

  // --- Grids ---

  const grids = JSON.parse(get("grids").textContent);
  const digits = get("digits");
  const INK_ON = ["#fff", "#fff", "#000", "#000", "#000", "#000", "#000", "#000", "#000", "#fff"];
  const size = (rows) => `${rows.length}×${rows[0].length}`;

  // Cells that differ are crossed out, black on white, which shows on every colour of the palette
  const draw = (text, options) => {
    const rows = text.split("/");
    const [height, width] = [rows.length, rows[0].length];
    const cell = Math.max(4, Math.min(22, Math.floor(options.side / Math.max(height, width))));
    const cells = Array(10).fill("");
    let crosses = "";
    let wrong = 0;
    const truth = options.truth ? options.truth.split("/") : null;
    const comparable = truth && truth.length === height && truth[0].length === width;
    rows.forEach((row, y) => {
      for (let x = 0; x < width;) {
        let end = x + 1;
        while (end < width && row[end] === row[x]) end++;
        cells[row[x]] += `M${x} ${y}h${end - x}v1h${x - end}z`;
        x = end;
      }
      for (let x = 0; comparable && x < width; x++) {
        if (row[x] === truth[y][x]) continue;
        wrong++;
        crosses += `M${x + 0.22} ${y + 0.22}l.56 .56m0 -.56l-.56 .56`;
      }
    });
    const lines = rows.map((_, y) => (y ? `M0 ${y}h${width}` : "")).join("")
      + Array.from({ length: width }, (_, x) => (x ? `M${x} 0v${height}` : "")).join("");
    const verdict = !truth ? "" : !comparable ? `size ${size(rows)}, but ${size(truth)} is right`
      : wrong ? `${wrong} of ${height * width} cells differ` : "right";
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width * cell);
    svg.setAttribute("height", height * cell);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${options.label}, ${height} rows, ${width} columns${verdict ? `, ${verdict}` : ""}`);
    if (truth && !comparable) svg.classList.add("wrongsize");
    cells.forEach((path, colour) => { if (path) shape(svg, "path", { d: path, fill: `var(--g${colour})` }); });
    shape(svg, "path", { d: lines, stroke: "#555", "stroke-width": 1 / cell, fill: "none" });
    if (digits.checked) {
      rows.forEach((row, y) => [...row].forEach((colour, x) => shape(
        svg, "text", {
          x: x + 0.5, y: y + 0.74, "font-size": 0.7, "text-anchor": "middle", fill: INK_ON[colour],
          "font-family": "sans-serif",
        }, colour)));
    }
    if (crosses) {
      shape(svg, "path", { d: crosses, stroke: "#fff", "stroke-width": 0.3, "stroke-linecap": "round", class: "halo" });
      shape(svg, "path", { d: crosses, stroke: "#000", "stroke-width": 0.13, "stroke-linecap": "round", class: "wrong" });
    }
    const box = make("div", "grid");
    box.append(svg, make("p", "", options.caption ? `${options.caption}${verdict ? `: ${verdict}` : ""}` : size(rows)));
    return box;
  };

  const drawPair = (parent, title, input, output) => {
    const pair = make("div", "pair");
    const row = make("div");
    row.append(draw(input, { side: 130, label: `${title}, input` }));
    const arrow = make("span", "arrow", "→");
    arrow.setAttribute("aria-hidden", "true");
    row.append(arrow, output ? draw(output, { side: 130, label: `${title}, output` }) : make("span", "", "?"));
    pair.append(make("p", "", title), row);
    parent.append(pair);
  };

  const drawEntry = (entry) => {
    const data = grids[entry.dataset.n];
    const pairs = entry.querySelector(".pairs");
    if (pairs) {
      pairs.replaceChildren();
      data.d.forEach(([input, output], i) => drawPair(pairs, `Demonstration ${i + 1}`, input, output));
      data.t.forEach(([input], i) => drawPair(pairs, data.t.length > 1 ? `Test ${i + 1}` : "Test", input, ""));
    }
    for (const answers of entry.querySelectorAll(".answers")) {
      answers.replaceChildren();
      const tests = data.p[answers.dataset.column];
      const count = Math.max(tests.length, data.t.length);
      for (let i = 0; i < count; i++) {
        const truth = data.t[i] && data.t[i][1];
        const test = count > 1 ? `Test ${i + 1}, ` : "";
        const side = count > 1 ? 110 : 150;
        if (truth) answers.append(draw(truth, { side, label: `${test}expected`, caption: `${test}expected` }));
        const attempts = tests[i] || [];
        const alike = attempts.length > 1 && attempts.every((attempt) => attempt === attempts[0]);
        (alike ? attempts.slice(0, 1) : attempts).forEach((attempt, j) => {
          const name = alike ? "both attempts" : attempts.length > 1 ? `attempt ${j + 1}` : "attempt";
          answers.append(draw(attempt, { side, truth, label: `${test}${name}`, caption: `${test}${name}` }));
        });
        if (!attempts.length) answers.append(make("p", "none", `${test}no attempt`));
      }
    }
    entry.dataset.drawn = "yes";
  };

  const writeDigits = (entry) => {
    const data = grids[entry.dataset.n];
    const lines = [];
    const add = (title, text) => { if (text) lines.push(title, ...text.split("/"), ""); };
    data.d.forEach(([input, output], i) => { add(`Demonstration ${i + 1}, input`, input); add("output", output); });
    data.t.forEach(([input, output], i) => { add(`Test ${i + 1}, input`, input); add("expected", output); });
    const titles = [...entry.querySelectorAll(".result h4")].map((title) => title.textContent);
    data.p.forEach((tests, column) => tests.forEach((attempts, i) => attempts.forEach((attempt, j) => {
      add(`${titles[column]}; test ${i + 1}, attempt ${j + 1}`, attempt);
    })));
    entry.querySelector(".text pre").textContent = lines.join("\n");
  };

  const entries = [...document.querySelectorAll(".entry")];
  const watcher = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) if (isIntersecting && !target.dataset.drawn) drawEntry(target);
  }, { rootMargin: "600px" });
  for (const entry of entries) {
    watcher.observe(entry);
    entry.querySelector(".text").addEventListener("toggle", () => writeDigits(entry));
  }
  const redraw = () => { for (const entry of entries) if (entry.dataset.drawn) drawEntry(entry); };
  digits.checked = recall("arcgym-digits") === "yes";
  digits.addEventListener("change", () => { redraw(); remember("arcgym-digits", digits.checked ? "yes" : "no"); });
  addEventListener("beforeprint", () => {
    for (const entry of entries) if (!entry.hidden && !entry.dataset.drawn) drawEntry(entry);
  });
  if (!entries.length) return;

  // --- Filters and order ---

  const form = document.querySelector(".filters");
  const box = get("entries");
  const value = (id) => { const field = get(id); return field ? field.value : ""; };
  const number = (text, missing) => (text === "" ? missing : Number(text));
  const name = (entry) => entry.querySelector("h3").textContent;
  const ORDERS = {
    order: (a, b) => a.dataset.n - b.dataset.n,
    name: (a, b) => name(a).localeCompare(name(b)),
    rate: (a, b) => b.dataset.rate - a.dataset.rate,
    band: (a, b) => number(a.dataset.band, 99) - number(b.dataset.band, 99),
    side: (a, b) => number(a.dataset.side, 99) - number(b.dataset.side, 99),
    wrong: (a, b) => number(a.dataset.wrong, 9) - number(b.dataset.wrong, 9),
  };
  let limit = PAGE;
  let order = "order";

  const matches = (entry, words) => {
    const own = entry.dataset;
    if (value("outcome") && !own.outcome.split(" ").includes(value("outcome"))) return false;
    for (const field of ["set", "band", "family"]) if (value(field) && own[field] !== value(field)) return false;
    if (!words.length) return true;
    entry.words ??= `${name(entry)} ${own.set} ${own.family} ${entry.querySelector(".results").textContent}`.toLowerCase();
    return words.every((word) => entry.words.includes(word));
  };

  const show = () => {
    if (value("sort") !== order) {
      order = value("sort");
      entries.sort((a, b) => ORDERS[order](a, b) || ORDERS.order(a, b));
      box.append(...entries);
    }
    const words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const entry of entries) entry.hidden = !matches(entry, words) || ++found > limit;
    const shown = Math.min(found, limit);
    get("count").textContent = `${found} of ${entries.length} tasks${shown < found ? `, the first ${shown} shown` : ""}`;
    get("more").hidden = get("all").hidden = shown === found;
  };
  const restart = () => { limit = PAGE; show(); };
  form.addEventListener("input", restart);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(restart));
  get("more").addEventListener("click", () => {
    const first = entries.filter((entry) => !entry.hidden).length;
    limit += PAGE;
    show();
    const next = entries.filter((entry) => !entry.hidden)[first];
    next.tabIndex = -1;
    next.focus();
  });
  get("all").addEventListener("click", () => { limit = Infinity; show(); });

  // A link to a task that is filtered out, or on a later page, shows it all the same
  const reveal = () => {
    const target = /^#t\d+$/.test(location.hash) && get(location.hash.slice(1));
    if (!target) return;
    if (target.hidden) {
      form.reset();
      limit = Infinity;
      show();
    }
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  show();
  reveal();
})();
