import { save, SessionRows } from "./rows.js";

const ASKED_COLUMNS = /^(landmark|why)_/;
const FACE_COLUMNS_END = "confidence"; // the labels follow it

/** All rows of the session; a server with another model begins another table. */
export class Records {
  #tables = [];
  #columns = [];
  largestId = 0;

  get count() {
    return this.#tables.reduce((sum, { rows }) => sum + rows.count, 0);
  }

  get isTrimmed() {
    return this.#tables.some(({ rows }) => rows.isTrimmed);
  }

  /** Take the columns of the rows that follow; return the labels among them. */
  setColumns(columns) {
    this.#columns = columns.filter((name) => !ASKED_COLUMNS.test(name));
    return this.#columns.slice(this.#columns.indexOf(FACE_COLUMNS_END) + 1);
  }

  /** Add the rows of a frame; `asked` is {landmarks, why}. Returns an entry that `put` takes. */
  add(rows, asked) {
    for (const { track_id: id } of rows) this.largestId = Math.max(this.largestId, id ?? 0);
    const key = this.#columns.join();
    if (this.#tables.at(-1)?.key !== key) this.#tables.push({ key, rows: new SessionRows() });
    return this.#tables.at(-1).rows.add(rows, this.#columns, asked);
  }

  /** Put rows in the place of an entry, a photo that was analyzed again; add them where there is none. */
  put(entry, rows, asked) {
    if (entry === null || this.#tables.length === 0) return this.add(rows, asked);
    this.#tables.at(-1).rows.replace(entry, rows, asked);
    return entry;
  }

  clear() {
    this.#tables = [];
  }

  /** Hand the rows to the browser's downloads, one file for each table. */
  download() {
    const moment = new Date(Date.now() - 60_000 * new Date().getTimezoneOffset());
    const [day, time] = moment.toISOString().replaceAll(/[-:]/g, "").split(/[T.]/);
    this.#tables.forEach(({ rows }, index) => {
      save(rows.toBlob(), `mien-${day}-${time}${index ? `-${index + 1}` : ""}.csv`);
    });
  }
}
