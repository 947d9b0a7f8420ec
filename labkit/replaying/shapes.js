// ---- Shapes.

// The part of a line between two x: numbers far outside would lose their digits.
function clipped(x1, y1, x2, y2, least, most) {
  const at = x => [x, y1 + (x - x1) / (x2 - x1) * (y2 - y1)];
  const [left, up] = x1 < least && x2 > least ? at(least) : [x1, y1];
  const [right, down] = x2 > most && x1 < most ? at(most) : [x2, y2];
  return [left, up, right, down];
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function head(context, x1, y1, x2, y2, size, colour) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x2, y2);
  context.lineTo(x2 - size * Math.cos(angle - 0.4), y2 - size * Math.sin(angle - 0.4));
  context.lineTo(x2 - size * Math.cos(angle + 0.4), y2 - size * Math.sin(angle + 0.4));
  context.fill();
}

// A cross, a diamond, a square, a triangle: as in `labkit.plots.recovery`.
function sign(context, kind, x, y, r, colours) {
  const points = {
    suspected: [[0, -r], [r, 0], [0, r], [-r, 0]],
    confirmed: [[-r, -r], [r, -r], [r, r], [-r, r]].map(point => point.map(v => v * 0.85)),
    recovered: [[0, -r], [r, r * 0.85], [-r, r * 0.85]],
    injected: [[-1, -.5], [-.5, -1], [0, -.5], [.5, -1], [1, -.5], [.5, 0], [1, .5], [.5, 1],
      [0, .5], [-.5, 1], [-1, .5], [-.5, 0]].map(point => point.map(v => v * r)),
  }[kind];
  context.beginPath();
  for (const [dx, dy] of points) context.lineTo(x + dx, y + dy);
  context.closePath();
  context.fillStyle = colours[kind];
  context.strokeStyle = colours.paper;
  context.lineWidth = 2.5;
  context.stroke();
  context.fill();
}

// The smallest of 1, 2, 5, 10, 20, ... that is not less.
function niceStep(least) {
  if (least <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find(factor => factor * power >= least * 0.9999);
}
