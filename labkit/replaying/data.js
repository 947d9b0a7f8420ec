// ---- Data: columns become typed arrays, with what a search by time needs.
//
//   decode(data)  ->  events (columns), lanes (rows of each peer), messages (pairs of rows)
//   select(...)   ->  which rows a filter keeps, in the order in which they happen
//
// Times are nanoseconds since the run began, as numbers: exact for a hundred days.

const FAULTS = ["injected", "suspected", "confirmed", "recovered"];
const BARS = ["work", "task", "recv", "send"];

function decode(data) {
  const columns = data.columns, n = columns.kind.length;
  const events = {
    n,
    start: new Float64Array(n),
    end: new Float64Array(n),
    when: new Float64Array(n),            // a receive happens when it ends, all else at its start
    kind: columns.kind.map(place => data.kinds[place]),
    label: columns.label.map(place => data.labels[place]),
    rank: Int32Array.from(columns.rank),
    peer: Int32Array.from(columns.peer),
    nbytes: Float64Array.from(columns.nbytes),
    step: Int32Array.from(columns.step),
    sent: Int32Array.from(columns.sent),
  };
  let at = data.zero;
  for (let row = 0; row < n; row++) {
    at += columns.start[row];
    events.start[row] = at;
    events.end[row] = at + columns.length[row];
    events.when[row] = events.kind[row] === "recv" ? events.end[row] : at;
  }
  return {
    ...data,
    events,
    messages: pairMessages(events),
    lanes: makeLanes(events, data.workers, data.generations),
    tasks: data.kinds.includes("task"),
    marks: rowsWhere(events, row => FAULTS.includes(events.kind[row])),
  };
}

function rowsWhere(events, test) {
  const rows = [];
  for (let row = 0; row < events.n; row++) if (test(row)) rows.push(row);
  return rows;
}

// Messages, in the order in which they were sent.
function pairMessages(events) {
  const receives = rowsWhere(events, row => events.sent[row] >= 0);
  receives.sort((a, b) => events.sent[a] - events.sent[b]);
  const send = Int32Array.from(receives, row => events.sent[row]);
  const recv = Int32Array.from(receives);
  const left = Float64Array.from(send, row => events.start[row]);
  const came = Float64Array.from(recv, row => events.end[row]);
  return { n: recv.length, send, recv, left, came, reach: runningMax(came) };
}

// Of each peer: its bars, its sends with their bytes so far, when its messages came, its tasks.
function makeLanes(events, workers, generations) {
  const lanes = Array.from({ length: workers }, () => (
    { rows: [], sends: [], bytes: [0], came: [], done: [], marks: [], steps: [],
      begun: [], looked: [], held: [], first: Infinity, last: -Infinity }));
  for (let row = 0; row < events.n; row++) {
    const lane = lanes[events.rank[row]], kind = events.kind[row];
    if (!lane) continue;
    if (FAULTS.includes(kind)) { lane.marks.push(row); continue; }
    if (kind === "memory") {              // what is held, which nobody does
      lane.looked.push(events.start[row]);
      lane.held.push(events.nbytes[row]);
      continue;
    }
    lane.rows.push(row);
    lane.first = Math.min(lane.first, events.start[row]);
    lane.last = Math.max(lane.last, events.end[row]);
    if (kind === "step") {
      lane.steps.push(row);
      lane.begun.push(events.start[row]);
    }
    if (kind === "task") lane.done.push(events.end[row]);
    if (kind === "send") {
      lane.sends.push(events.start[row]);
      lane.bytes.push(lane.bytes[lane.bytes.length - 1] + events.nbytes[row]);
    }
    if (events.sent[row] >= 0) {
      const sender = lanes[events.rank[events.sent[row]]];
      if (sender) sender.came.push(events.end[row]);
    }
  }
  endWithGenerations(events, lanes, generations);
  for (const lane of lanes) {
    lane.rows = Int32Array.from(lane.rows);
    lane.starts = Float64Array.from(lane.rows, row => events.start[row]);
    lane.reach = runningMax(Float64Array.from(lane.rows, row => events.end[row]));
    lane.came.sort((a, b) => a - b);
    lane.done.sort((a, b) => a - b);
  }
  return lanes;
}

// Between generations nobody works, and what was under way is gone.
function endWithGenerations(events, lanes, generations) {
  lanes.forEach((lane, rank) => {
    const mine = generations.length > 1 ? generations.filter(([members]) => members.includes(rank))
      : [[[], lane.first, lane.last]];
    lane.spans = mine.map(([, start, end]) => [Math.max(start, lane.first),
      Math.min(end, lane.last)]).filter(([start, end]) => start < end);
  });
  if (generations.length < 2) return;
  const received = new Set(events.sent);
  for (let row = 0; row < events.n; row++) {
    if (events.kind[row] !== "send" || received.has(row)) continue;
    const end = generations.map(one => one[2]).find(one => events.start[row] <= one);
    if (end !== undefined) lanes[events.rank[row]].came.push(end);
  }
}

function runningMax(values) {
  const max = new Float64Array(values.length);
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) max[i] = most = Math.max(most, values[i]);
  return max;
}

// How many of the sorted values are `at` or less.
function countUpTo(values, at) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= at) low = middle + 1; else high = middle;
  }
  return low;
}

// The range of places, in order of start, that can touch a part of the time.
function touching(starts, reach, from, to) {
  return [countUpTo(reach, from - 1e-9), countUpTo(starts, to)];
}

// ---- Filters: what somebody has asked for, as they have written it.

function parseRanges(text) {
  const ranges = [...String(text || "").matchAll(/(\d+)(?:\s*-\s*(\d+))?/g)]
    .map(([, first, last]) => [Number(first), Number(last ?? first)]);
  return ranges.length ? ranges : null;
}

function inRanges(ranges, number) {
  return !ranges || ranges.some(([first, last]) => first <= number && number <= last);
}

function select(run, filter) {
  const { events } = run;
  const peers = parseRanges(filter.peers), steps = parseRanges(filter.steps);
  const shown = [];                       // the peers that have a lane
  for (let rank = 0; rank < run.workers; rank++) if (inRanges(peers, rank)) shown.push(rank);
  const place = new Int32Array(run.workers).fill(-1);
  shown.forEach((rank, i) => { place[rank] = i; });
  const keep = new Uint8Array(events.n);
  for (let row = 0; row < events.n; row++) {
    keep[row] = place[events.rank[row]] >= 0
      && (!filter.kinds || filter.kinds.includes(events.kind[row]))
      && (filter.label == null || events.label[row] === filter.label)
      && (!steps || inRanges(steps, events.step[row])) ? 1 : 0;
  }
  const [first, last] = run.window;       // outside of it, others are missing
  const rows = rowsWhere(events, row => keep[row] && first <= events.when[row]
    && events.when[row] <= last);
  rows.sort((a, b) => events.when[a] - events.when[b] || a - b);
  return { shown, place, keep, rows, times: Float64Array.from(rows, row => events.when[row]) };
}

// ---- What a peer is at.

function stateOf(run, rank, at) {
  const { events } = run, lane = run.lanes[rank];
  const sent = countUpTo(lane.sends, at);
  const state = {
    rank,
    doing: "working", row: -1,
    messages: sent,
    nbytes: lane.bytes[sent],
    underWay: sent - countUpTo(lane.came, at),
    tasks: countUpTo(lane.done, at),
    step: -1,
    held: lane.held[countUpTo(lane.looked, at) - 1],
  };
  const steps = countUpTo(lane.begun, at);
  if (steps) state.step = events.step[lane.steps[steps - 1]];
  const past = lane.marks.filter(row => events.start[row] <= at);
  const mark = past.length ? events.kind[past[past.length - 1]] : "";
  if (mark === "confirmed") state.doing = "lost";
  else if (at < lane.first || !lane.rows.length) state.doing = "idle";
  else if (at >= lane.last) state.doing = "done";
  else if (run.tasks) state.doing = "idle";
  if (state.doing === "working" && run.generations.length > 1
      && !run.generations.some(([members, start, end]) => start <= at && at <= end
        && members.includes(rank))) state.doing = "regroup";
  for (let i = countUpTo(lane.starts, at) - 1; i >= 0 && lane.reach[i] > at; i--) {
    const row = lane.rows[i];
    if (events.end[row] <= at || !BARS.includes(events.kind[row])) continue;
    if (mark !== "confirmed") {
      state.doing = events.kind[row];
      state.row = row;
    }
    if (events.kind[row] !== "send") break;
  }
  return state;
}
