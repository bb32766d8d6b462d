import { element } from "./dom.js";
import { percent } from "./faces.js";
import { runsOf } from "./history.js";

const LEAST_S = 0.3; // shorter runs would make the table unreadable

/** Fill the table of the last minute: a row for each expression that a person showed, the newest first. */
export function fillTable(body, history) {
  const rows = history.people.flatMap(({ name, samples }) =>
    runsOf(samples)
      .filter((run) => run.endS - run.startS >= LEAST_S)
      .map((run) => ({ name, ...run })),
  );
  rows.sort((a, b) => b.startS - a.startS);
  body.replaceChildren(...rows.map((row) => rowOf(row, history.nowS)));
}

function rowOf({ name, expression, startS, endS, samples }, nowS) {
  const mean = samples.reduce((sum, sample) => sum + sample.confidence, 0) / samples.length;
  const ago = (timeS) => (nowS - timeS < 0.5 ? "now" : `${Math.round(nowS - timeS)} s ago`);
  const row = element("tr");
  row.append(element("th", "", name, { scope: "row" }));
  for (const text of [ago(startS), ago(endS), expression, percent(mean)]) row.append(element("td", "", text));
  return row;
}
