// ---- Controls: buttons, inputs and tables, all of them the browser's own.
//
// Each part is a function that takes the player and returns its node and an `update`.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 10];
const MANY_ROWS = 32, MANY_EVENTS = 200;
const KEYS = "Keys: space plays, ← and → step, + and − zoom, shift with ← and → moves, "
  + "Home and End jump.";

// An element; text never becomes HTML.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function button(text, label, press) {
  return make("button", { type: "button", "aria-label": label, title: label, onclick: press },
    text);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- Transport.

function transport(player) {
  const play = button("Play", "Play (space)", () => player.toggle());
  const speed = make("select", { onchange: () => player.setSpeed(Number(speed.value)) },
    ...SPEEDS.map(one => make("option", { value: one, selected: one === 1 }, `× ${one}`)));
  const rate = make("span", { class: "quiet" });
  const clock = make("output", { class: "clock", "aria-live": "off" });
  const slider = make("input", { type: "range", min: 0, max: 10000, step: 1, value: 0,
    "aria-label": "Time", oninput: () => player.scrub(Number(slider.value) / 10000) });
  const node = make("div", {},
    make("div", { class: "bar", role: "group", "aria-label": "Play" },
      button("Start", "To the beginning (Home)", () => player.toStart()),
      button("Back", "One event back (left arrow)", () => player.step(-1)),
      play,
      button("Next", "One event forward (right arrow)", () => player.step(1)),
      button("End", "To the end (End)", () => player.toEnd()),
      make("label", {}, "Speed ", speed), rate, clock),
    slider,
    make("div", { class: "bar", role: "group", "aria-label": "Part of the time that is shown" },
      button("−", "Zoom out (minus)", () => player.zoom(1 / 2)),
      button("+", "Zoom in (plus)", () => player.zoom(2)),
      button("All", "Show all of the time", () => player.showAll()),
      button("←", "Move to earlier (shift and left arrow)", () => player.pan(-0.25)),
      button("→", "Move to later (shift and right arrow)", () => player.pan(0.25)),
      legend(player.run)));
  const [first, last] = player.run.window;
  return { node, update() {
    setText(play, player.playing ? "Pause" : "Play");
    play.setAttribute("aria-label", player.playing ? "Pause (space)" : "Play (space)");
    play.title = play.getAttribute("aria-label");
    setText(clock, `${sayTime(player.time)} of ${sayTime(last)} (${player.run.clock})`);
    setText(rate, `1 s shows ${sayTime(player.rate, 2)}`);
    slider.value = Math.round((player.time - first) / (last - first) * 10000);
    slider.setAttribute("aria-valuetext", sayTime(player.time));
  } };
}

// What is there to see, each with its shape.
function legend(run) {
  const items = run.tasks ? [["bar task", "a task"]] : [["bar lane", "at work"]];
  if (run.kinds.includes("work")) items.push(["bar work", "measured work"]);
  if (run.kinds.includes("recv")) items.push(["bar wait", "waiting"]);
  if (run.kinds.includes("send")) items.push(["bar send", "sending"]);
  if (run.messages.n) items.push(["line message", "a message"]);
  if (run.kinds.includes("step")) items.push(["tick", "a step begins"]);
  const list = make("ul", { class: "legend", "aria-label": "Legend" },
    ...items.map(([shape, text]) => make("li", {}, make("i", { class: shape }), text)));
  for (const kind of FAULTS.filter(one => run.kinds.includes(one))) {
    list.append(make("li", {}, make("i", { class: `sign ${kind}` }), kind));
  }
  return list;
}

// ---- What happens now, in words.

function now(player) {
  const count = make("span", { class: "quiet" }), words = make("span", {});
  const node = make("p", { class: "now", role: "status", "aria-live": "polite" }, count, words);
  return { node, update() {
    const { rows } = player.selection, at = player.position;
    node.setAttribute("aria-live", player.playing ? "off" : "polite");
    setText(count, rows.length ? `Event ${(at + 1).toLocaleString("en")} of `
      + `${rows.length.toLocaleString("en")}. ` : "");
    setText(words, at >= 0 ? describe(player.run, rows[at])
      : rows.length ? "Before the first event." : "No event passes the filter.");
  } };
}

// ---- Filters.

function filters(player) {
  const { run } = player;
  const change = () => player.setFilter(read());
  const text = (name, hint) => make("input", { type: "text", size: 10, placeholder: hint,
    onchange: change, "aria-label": `Show only these ${name}` });
  const peers = text(run.tasks ? "workers" : "peers", "0-3, 7"), steps = text("steps", "2-5");
  const kinds = run.kinds.map(kind => [kind, make("input", {
    type: "checkbox", checked: true, onchange: change })]);
  const label = make("select", { onchange: change },
    make("option", { value: "" }, "all"),
    ...run.labels.map((one, place) => [one, place])
      .filter(([one]) => run.events.label.some((label, row) => label === one
        && ["send", "recv"].includes(run.events.kind[row])))
      .map(([one, place]) => make("option", { value: place }, sayLabel(one) || "none")));
  const summary = make("summary", {});
  const node = make("details", {}, summary, make("div", { class: "bar" },
    make("label", {}, run.tasks ? "Workers " : "Peers ", peers),
    make("label", {}, "Steps ", steps),
    make("label", {}, "Collective ", label),
    make("fieldset", {}, make("legend", {}, "Kinds"),
      ...kinds.map(([kind, box]) => make("label", {}, box, ` ${kind}`))),
    button("Show all", "Clear the filter", () => player.setFilter({}))));

  function read() {
    const chosen = kinds.filter(([, box]) => box.checked).map(([kind]) => kind);
    return {
      ...(peers.value.trim() && { peers: peers.value.trim() }),
      ...(steps.value.trim() && { steps: steps.value.trim() }),
      ...(label.value && { label: run.labels[label.value] }),
      ...(chosen.length < kinds.length && { kinds: chosen }),
    };
  }

  return { node, update() {
    const { filter, selection } = player;
    setText(summary, `Filter: ${selection.rows.length.toLocaleString("en")} of `
      + `${sayCount(player.all, "event")}`);
    if (document.activeElement !== peers) peers.value = filter.peers || "";
    if (document.activeElement !== steps) steps.value = filter.steps || "";
    label.value = filter.label == null ? "" : run.labels.indexOf(filter.label);
    for (const [kind, box] of kinds) box.checked = !filter.kinds || filter.kinds.includes(kind);
  } };
}

// ---- What each peer is at.

function states(player) {
  const { run } = player;
  const heads = run.tasks ? ["worker", "is at", "tasks done"]
    : ["peer", "is at", "step", "messages sent", "bytes sent", "under way"];
  const memory = run.kinds.includes("memory");
  if (memory) heads.push("holds");
  const caption = make("caption", {}), body = make("tbody");
  const node = make("div", { class: "scroll", tabindex: 0, role: "region",
    "aria-label": "What each peer is at" }, make("table", {}, caption,
    make("thead", {}, make("tr", {}, ...heads.map(one => make("th", { scope: "col" }, one)))),
    body));
  const rows = [];

  function cells(state) {
    const { tasks, messages, nbytes, underWay } = state, doing = describeState(run, state);
    const counts = (run.tasks ? [tasks] : [messages, nbytes, underWay])
      .map(number => number.toLocaleString("en"));
    return [doing, ...(run.tasks ? [] : [state.step < 0 ? "" : String(state.step)]), ...counts,
      ...(memory ? [state.held === undefined ? "" : sayBytes(state.held)] : [])];
  }

  return { node, update() {
    const { shown } = player.selection, few = shown.slice(0, MANY_ROWS);
    const rest = shown.length > few.length
      ? `: the first ${few.length} of ${sayCount(shown.length, "peer")}; filter for others` : "";
    setText(caption, `At ${sayTime(player.time)}${rest}`);
    while (rows.length < few.length) {
      rows.push(make("tr", {}, make("th", { scope: "row" }),
        ...heads.slice(1).map(() => make("td"))));
      body.append(rows[rows.length - 1]);
    }
    while (rows.length > few.length) rows.pop().remove();
    few.forEach((rank, i) => {
      setText(rows[i].cells[0], String(rank));
      cells(stateOf(run, rank, player.time)).forEach((text, column) =>
        setText(rows[i].cells[column + 1], text));
    });
  } };
}

// ---- All of it as a table, for those who cannot or do not want to see a diagram.

function eventTable(player) {
  const body = make("tbody"), note = make("p", { class: "quiet" });
  const heads = ["from", "to", "kind", "peer", "other", "bytes", "step", "label"];
  const node = make("details", { ontoggle: () => update() },
    make("summary", {}, "Events as a table"), note,
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Events" },
      make("table", {}, make("thead", {}, make("tr", {},
        ...heads.map(one => make("th", { scope: "col" }, one)))), body)));
  let filled = null;

  function update() {
    const { selection, run: { events } } = player;
    if (!node.open || filled === selection) return;
    filled = selection;
    const rows = selection.rows.slice(0, MANY_EVENTS);
    setText(note, rows.length < selection.rows.length
      ? `The first ${rows.length} of ${sayCount(selection.rows.length, "event")}.` : "");
    body.replaceChildren(...rows.map(row => make("tr", {}, ...[
      sayTime(events.start[row], 6), sayTime(events.end[row], 6), events.kind[row],
      events.rank[row], events.peer[row] < 0 ? "" : events.peer[row],
      events.peer[row] < 0 ? "" : events.nbytes[row].toLocaleString("en"),
      events.step[row] < 0 ? "" : events.step[row], sayLabel(events.label[row]),
    ].map(text => make("td", {}, String(text))))));
  }

  return { node, update };
}
