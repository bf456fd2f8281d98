"use strict";
// Pan, zoom, search and select. All text is set by textContent; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const picture = byId("picture");
  const panel = byId("panel");
  const search = byId("search");
  const found = byId("found");
  const boxes = [...picture.querySelectorAll("[data-box]")];
  const rows = boxes.map((box) => [...box.querySelectorAll("[data-row]")]);
  const arrows = [...picture.querySelectorAll("[data-arrow]")];
  const places = boxes.map((box) => {
    const rect = box.querySelector("rect");
    const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
    return { x, y, w, h, cx: x + w / 2, cy: y + h / 2 };
  });
  const leaving = boxes.map(() => []);
  const entering = boxes.map(() => []);
  // `near` and `far` are the rows that an arrow leads from and to, -1 for a box as a whole.
  data.arrows.forEach(([source, target, , from, to], number) => {
    leaving[source].push({ box: target, arrow: number, near: from, far: to });
    entering[target].push({ box: source, arrow: number, near: to, far: from });
  });

  // --- The view: which part of the drawing is seen, and how large -------------------------------
  const view = { x: 0, y: 0, scale: 1 };
  const MARGIN = 24;
  let isTouched = false; // until then the drawing follows the size of the window

  function show() {
    const { clientWidth: width, clientHeight: height } = picture;
    picture.setAttribute(
      "viewBox",
      `${view.x} ${view.y} ${Math.max(1, width) / view.scale} ${Math.max(1, height) / view.scale}`,
    );
  }

  function fittingScale() {
    return Math.min(
      picture.clientWidth / (data.width + 2 * MARGIN),
      picture.clientHeight / (data.height + 2 * MARGIN),
      1.25,
    );
  }

  function centre(x, y) {
    view.x = x - picture.clientWidth / view.scale / 2;
    view.y = y - picture.clientHeight / view.scale / 2;
    show();
  }

  function fit() {
    view.scale = Math.max(fittingScale(), 0.005);
    centre(data.width / 2, data.height / 2);
  }

  function zoom(factor, left, top) {
    isTouched = true;
    const bounds = picture.getBoundingClientRect();
    const px = (left ?? bounds.left + bounds.width / 2) - bounds.left;
    const py = (top ?? bounds.top + bounds.height / 2) - bounds.top;
    const scale = Math.min(6, Math.max(Math.min(0.02, fittingScale()), view.scale * factor));
    view.x += px / view.scale - px / scale;
    view.y += py / view.scale - py / scale;
    view.scale = scale;
    show();
  }

  function goTo(number) {
    isTouched = true;
    view.scale = Math.max(view.scale, 0.7);
    centre(places[number].cx, places[number].cy);
  }

  function keepInSight(number) {
    const place = places[number];
    const width = picture.clientWidth / view.scale;
    const height = picture.clientHeight / view.scale;
    const inside =
      place.x >= view.x && place.x + place.w <= view.x + width &&
      place.y >= view.y && place.y + place.h <= view.y + height;
    if (!inside || view.scale < 0.3) goTo(number);
  }

  // --- Pointer: drag, pinch, wheel ----------------------------------------------------------
  const pointers = new Map();
  let travelled = 0;

  function spread() {
    const [a, b] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, size: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  }

  picture.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  window.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const old = pointers.size === 2 ? spread() : null;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = old ? spread() : null;
    const dx = now ? now.x - old.x : event.clientX - before.x;
    const dy = now ? now.y - old.y : event.clientY - before.y;
    travelled += Math.abs(dx) + Math.abs(dy);
    isTouched = true;
    view.x -= dx / view.scale;
    view.y -= dy / view.scale;
    if (now) zoom(now.size / old.size, now.x, now.y);
    picture.classList.toggle("moving", travelled > 4);
    show();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) picture.classList.remove("moving");
    });
  }
  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.0016;
      zoom(Math.exp(-event.deltaY * lines * speed), event.clientX, event.clientY);
    },
    { passive: false },
  );
  picture.addEventListener("click", (event) => {
    if (travelled > 4) return;
    const box = event.target.closest("[data-box]");
    const row = event.target.closest("[data-row]");
    if (box) choose(Number(box.dataset.box), row ? Number(row.dataset.row) : -1);
    else release();
  });

  // --- Choosing a box: its record, and its path lit -----------------------------------------
  let chosen = -1;

  const isOn = (near, row) => row < 0 || near < 0 || near === row;

  function reach(start, row, next, seenRows, seenArrows) {
    const stack = [[start, row]];
    const met = new Set([start]);
    const known = new Set([`${start} ${row}`]);
    while (stack.length) {
      const [at, own] = stack.pop();
      seenRows.push([at, own]);
      for (const { box, arrow, near, far } of next[at]) {
        if (!isOn(near, own)) continue;
        seenArrows.add(arrow);
        met.add(box);
        if (known.has(`${box} ${far}`)) continue;
        known.add(`${box} ${far}`);
        stack.push([box, far]);
      }
    }
    return met;
  }

  function choose(number, row = -1) {
    const onRows = [];
    const onArrows = new Set();
    const above = reach(number, row, entering, onRows, onArrows);
    const below = reach(number, row, leaving, onRows, onArrows);
    const onBoxes = new Set([...above, ...below]);
    const upstream = above.size - 1;
    const downstream = below.size - 1;
    chosen = number;
    boxes.forEach((box, at) => {
      box.classList.toggle("on", onBoxes.has(at));
      box.classList.toggle("chosen", at === number);
    });
    arrows.forEach((arrow, at) => arrow.classList.toggle("on", onArrows.has(at)));
    rows.forEach((each) => each.forEach((one) => one.classList.remove("on", "chosen")));
    for (const [box, at] of onRows) {
      for (const one of at < 0 ? rows[box] : [rows[box][at]]) one.classList.add("on");
    }
    if (row >= 0) rows[number][row].classList.add("chosen");
    picture.classList.add("lit");
    describe(number, row, upstream, downstream);
    hold(number);
    keepInSight(number);
  }

  function release() {
    chosen = -1;
    picture.classList.remove("lit");
    boxes.forEach((box) => box.classList.remove("on", "chosen"));
    rows.forEach((each) => each.forEach((one) => one.classList.remove("on", "chosen")));
    arrows.forEach((arrow) => arrow.classList.remove("on"));
    panel.hidden = true;
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function describe(number, row, upstream, downstream) {
    const box = data.boxes[number];
    const kind = [box.group, box.kind === "operation" ? "operation" : ""].filter(Boolean).join(" ");
    const list = document.createElement("dl");
    for (const [name, value] of box.details) list.append(element("dt", name), element("dd", value));
    const close = element("button", "\u00d7");
    close.id = "close";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", clear);
    panel.replaceChildren(
      close,
      element("h2", box.label || "(no name)"),
      element("p", kind + (box.failed ? ", failed" : "")),
      element("p", box.id),
      ...(row < 0 ? [] : [element("h3", "Column"), element("p", box.rows[row])]),
      list,
      ...neighbours(`From (${upstream} upstream)`, entering[number], row),
      ...neighbours(`To (${downstream} downstream)`, leaving[number], row),
    );
    panel.hidden = false;
    panel.scrollTop = 0;
    isTouched = true;
    show();
  }

  function neighbours(title, links, row) {
    const list = document.createElement("ul");
    for (const { box, arrow, far } of links.filter(({ near }) => isOn(near, row)).slice(0, 200)) {
      const label = data.arrows[arrow][2];
      const column = far < 0 ? "" : ` \u00b7 ${data.boxes[box].rows[far]}`;
      const button = element(
        "button",
        data.boxes[box].label + column + (label ? ` (${label})` : ""),
      );
      button.addEventListener("click", () => {
        choose(box, far);
        goTo(box);
      });
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    }
    return [element("h3", title), list];
  }

  // --- Search -------------------------------------------------------------------------------
  const haystack = data.boxes.map((box) => `${box.label}\n${box.id}\n${box.group}\n${box.rows.join("\n")}`.toLowerCase());
  let matches = [];
  let current = -1;

  function look() {
    const wanted = search.value.trim().toLowerCase();
    matches = [];
    current = -1;
    haystack.forEach((text, at) => {
      const hit = wanted !== "" && text.includes(wanted);
      boxes[at].classList.toggle("match", hit);
      if (hit) matches.push(at);
    });
    matches.sort((a, b) => places[a].x - places[b].x || places[a].y - places[b].y);
    picture.classList.toggle("searched", wanted !== "");
    found.textContent = wanted ? `${matches.length} found` : "";
  }

  function next(step) {
    if (!matches.length) return;
    current = (current + step + matches.length) % matches.length;
    if (chosen >= 0) release();
    goTo(matches[current]);
    hold(matches[current]);
    found.textContent = `${current + 1} of ${matches.length}`;
  }

  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
  });

  function clear() {
    search.value = "";
    look();
    release();
  }

  // --- Keyboard: one box takes part in the tab order, the arrow keys walk -------------------
  let held = -1;

  function hold(number) {
    if (held >= 0) boxes[held].setAttribute("tabindex", "-1");
    held = number;
    if (held >= 0) boxes[held].setAttribute("tabindex", "0");
  }

  function beside(number, direction) {
    const from = places[number];
    let best = -1;
    let distance = Infinity;
    places.forEach((place, at) => {
      const down = (place.cy - from.cy) * direction;
      const off = Math.abs(place.x - from.x);
      if (down > 1 && down + 4 * off < distance) {
        best = at;
        distance = down + 4 * off;
      }
    });
    return best;
  }

  function walk(number, key) {
    if (key === "ArrowRight") return leaving[number].map((link) => link.box)[0] ?? -1;
    if (key === "ArrowLeft") return entering[number].map((link) => link.box)[0] ?? -1;
    return beside(number, key === "ArrowDown" ? 1 : -1);
  }

  boxes.forEach((box, at) => {
    box.setAttribute("tabindex", "-1");
    box.setAttribute("role", "button");
    box.setAttribute("aria-label", `${data.boxes[at].label}, ${data.boxes[at].group}`);
    box.addEventListener("focus", () => {
      hold(at);
      if (box.matches(":focus-visible")) keepInSight(at);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(at);
      } else if (event.key.startsWith("Arrow")) {
        event.preventDefault();
        const to = walk(at, event.key);
        if (to >= 0) boxes[to].focus({ preventScroll: true });
      }
    });
  });
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "+") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0") fit();
  });

  byId("fit").addEventListener("click", fit);
  byId("in").addEventListener("click", () => zoom(1.3));
  byId("out").addEventListener("click", () => zoom(1 / 1.3));

  const root = Math.max(data.boxes.findIndex((box) => box.root), 0);
  if (boxes.length) hold(root);

  function begin() {
    fit();
    // Of a large drawing nothing could be read: begin where it matters.
    if (view.scale < 0.3 && boxes.length) {
      view.scale = 0.7;
      centre(places[root].cx, places[root].cy);
    }
  }

  new ResizeObserver(() => (isTouched ? show() : begin())).observe(picture);
  begin();
})();
