// ---- Network: the same moment with the peers on a circle, and messages on their way as arrows.

const MANY_NODES = 64, NETWORK_PX = 300;

function network(player) {
  const canvas = make("canvas", { role: "img", "aria-label":
    "The peers on a circle, messages on their way as arrows; the table says the same in words" });
  const stage = make("div", { class: "circle" }, canvas);
  stage.style.height = `${NETWORK_PX}px`;
  const note = make("p", { class: "quiet" });
  const node = make("details", { ontoggle: () => player.refresh() },
    make("summary", {}, "Network"), stage, note);

  function draw() {
    const { shown } = player.selection, { clientWidth } = stage;
    if (!node.open || clientWidth < 1) return;
    const few = shown.length <= MANY_NODES;
    stage.hidden = !few;
    setText(note, few ? "Blue: at work. Grey: waiting. Hollow: idle, or ended. Crossed: lost."
      : `A network has room for ${MANY_NODES} peers: filter for some.`);
    if (few) drawNetwork(canvas, clientWidth, player);
  }

  return { node, draw, update() {} };
}

function drawNetwork(canvas, width, player) {
  const ratio = window.devicePixelRatio || 1, { run, selection, diagram: { colours } } = player;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(NETWORK_PX * ratio);
  }
  const context = canvas.getContext("2d"), places = circle(selection.shown, width);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, NETWORK_PX);
  drawOnTheirWay(context, player, places);
  for (const place of places.values()) drawNode(context, run, place, player.time, colours);
}

// Where each peer is, the first at the top, on clockwise; and where its number is, if it has room.
function circle(ranks, width) {
  const n = ranks.length, outer = NETWORK_PX / 2 - 24;
  const r = Math.max(4, Math.min(16, outer * Math.PI / n * 0.7)), every = niceStep(n / 32);
  return new Map(ranks.map((rank, i) => {
    const angle = i / n * 2 * Math.PI - Math.PI / 2;
    const at = radius => ({ x: width / 2 + radius * Math.cos(angle),
      y: NETWORK_PX / 2 + radius * Math.sin(angle) });
    const number = r >= 9 ? at(outer) : i % every ? null : at(outer + r + 10);
    return [rank, { rank, r, number, ...at(outer) }];
  }));
}

function drawNode(context, run, { rank, x, y, r, number }, time, colours) {
  const { doing } = stateOf(run, rank, time);
  const fill = { work: "work", working: "work", task: "work", send: "work", recv: "wait" }[doing];
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  context.fillStyle = colours[fill || "paper"];
  context.strokeStyle = colours.ink;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  if (doing === "lost") {
    line(context, x - r, y - r, x + r, y + r);
    line(context, x - r, y + r, x + r, y - r);
  }
  const inside = number && number.x === x;
  if (!number || inside && doing === "lost") return;
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colours[inside && fill === "work" ? "paper" : "ink"];
  context.fillText(rank, number.x, number.y + 1);
}

function drawOnTheirWay(context, player, places) {
  const { run: { messages, events }, diagram, time } = player;
  const [first, last] = touching(messages.left, messages.reach, time, time);
  context.lineWidth = 1.5;
  for (let i = first; i < last; i++) {
    const from = places.get(events.rank[messages.send[i]]);
    const to = places.get(events.rank[messages.recv[i]]);
    if (messages.came[i] <= time || !from || !to || !diagram.hasArrow(i)) continue;
    const share = (time - messages.left[i]) / (messages.came[i] - messages.left[i]);
    const x = from.x + share * (to.x - from.x), y = from.y + share * (to.y - from.y);
    context.strokeStyle = diagram.colours.faint;
    line(context, from.x, from.y, to.x, to.y);
    context.strokeStyle = diagram.colours.message;
    line(context, from.x, from.y, x, y);
    head(context, from.x, from.y, x, y, 13, diagram.colours.message);
  }
}
