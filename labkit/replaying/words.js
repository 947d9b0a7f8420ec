// ---- Words: times, bytes, and what an event is, as one would say it.

const COLLECTIVES = { allreduce: "all-reduce", reduce_scatter: "reduce-scatter",
  allgather: "all-gather", alltoall: "all-to-all" };

function sayTime(ns, digits = 4) {
  const size = Math.abs(ns);
  const [unit, name] = size >= 1e9 ? [1e9, "s"] : size >= 1e6 ? [1e6, "ms"]
    : size >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  return `${Number((ns / unit).toPrecision(digits))} ${ns === 0 ? "s" : name}`;
}

function sayBytes(number) {
  const [unit, name] = number >= 1e9 ? [1e9, "GB"] : number >= 1e6 ? [1e6, "MB"]
    : number >= 1e3 ? [1e3, "kB"] : [1, "B"];
  return `${Number((number / unit).toPrecision(3))} ${name}`;
}

function sayCount(number, name) {
  return `${number.toLocaleString("en")} ${name}${number === 1 ? "" : "s"}`;
}

function sayLabel(label) {
  return COLLECTIVES[label] || label;
}

function describe(run, row) {
  const { events } = run;
  const who = `${run.tasks ? "worker" : "peer"} ${events.rank[row]}`;
  const other = `peer ${events.peer[row]}`, bytes = sayCount(events.nbytes[row], "byte");
  const took = sayTime(events.end[row] - events.start[row]), label = events.label[row];
  const what = {
    send: () => `${who} sends ${bytes} to ${other}`,
    recv: () => `${who} receives ${bytes} from ${other}, after ${took}`,
    work: () => `${who} works for ${took}`,
    step: () => `${who} begins step ${events.step[row]}`,
    task: () => `${who} begins ${label || "a task"}, which takes ${took}`,
    memory: () => `${who}'s process holds ${bytes}`,
    injected: () => `${who} is struck: ${label}`,
    suspected: () => `${who} is suspected${label ? `: ${label}` : ""}`,
    confirmed: () => `${who} is known to be lost`,
    recovered: () => `${label || "the others go on"} (${who})`,
  }[events.kind[row]] || (() => `${who}: ${events.kind[row]} ${label}`);
  const where = ["send", "recv"].includes(events.kind[row]) && label ? [sayLabel(label)] : [];
  if (events.kind[row] !== "step" && events.step[row] >= 0) where.push(`step ${events.step[row]}`);
  return `${sayTime(events.when[row])}: ${[what(), ...where].join(", ")}`;
}

function describeState(run, state) {
  const { events } = run, { row } = state;
  return {
    send: () => `sends to peer ${events.peer[row]}`,
    recv: () => `waits for peer ${events.peer[row]}`
      + (events.label[row] ? ` (${sayLabel(events.label[row])})` : ""),
    work: () => "works",
    working: () => "works",
    task: () => events.label[row] || "a task",
    idle: () => (run.tasks ? "idle" : "has not begun"),
    regroup: () => "waits to go on",
    done: () => "has ended",
    lost: () => "lost",
  }[state.doing]();
}
