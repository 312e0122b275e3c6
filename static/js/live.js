// A page's live connection, to its campaign or to the workers. Events are hints (studio/domain/events.py); the database is the truth, so after every
// (re)connection the page fetches once, and while the socket is down it fetches every 10 s.
//   live:open            connected, also again: fetch the state
//   live:poll            no connection: fetch the state
//   live:<event type>    e.g. live:job.step, with the event as detail
import { announce, text } from "./strings.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;
const POLL = 10_000;
const REST_AFTER = 5 * 60_000; // a tab hidden for so long lets go of its connection
const NOTE_AFTER = 1500; // shorter gaps are nobody's business
const FINAL = [4401, 4403, 4404]; // the server's word that coming back is no use

const send = (name, detail) => document.dispatchEvent(new CustomEvent(`live:${name}`, { detail }));

export class Live {
  #socket = null;
  #wait = FIRST_WAIT;
  #timers = { retry: 0, poll: 0, rest: 0, note: 0 };
  #wanted = false;
  #lost = false;

  /** `path`: a socket's address on this host, such as "/ws/campaign/<id>/". */
  constructor(path) {
    this.url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${path}`;
    document.addEventListener("visibilitychange", () => this.#visibility());
    window.addEventListener("online", () => this.#now());
    window.addEventListener("offline", () => this.#note(text("offline")));
    window.addEventListener("pagehide", () => this.stop());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.start());
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    this.#wanted = true;
    this.#connect();
  }

  /** Close and stay closed until start(). */
  stop() {
    this.#wanted = false;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    clearInterval(this.#timers.poll);
    this.#timers.poll = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #connect() {
    if (!this.#wanted || this.#socket) return;
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      send(event.type, event);
    });
    socket.addEventListener("close", ({ code }) => this.#socket === socket && this.#closed(code));
  }

  #opened() {
    this.#wait = FIRST_WAIT;
    clearTimeout(this.#timers.note);
    clearInterval(this.#timers.poll);
    this.#timers.poll = 0;
    if (this.#lost) announce(text("reconnected"));
    this.#lost = false;
    this.#note("");
    document.documentElement.dataset.live = "on";
    send("open");
  }

  #closed(code) {
    this.#socket = null;
    document.documentElement.dataset.live = "off";
    if (FINAL.includes(code)) {
      this.stop();
      if (code === 4401) this.#note(text("sign_in_again"), [text("sign_in"), location.href]);
      else this.#note(text("access_ended"), [text("to_campaigns"), "/"]);
      return;
    }
    this.#lost = true;
    clearTimeout(this.#timers.note);
    this.#timers.note = setTimeout(() => this.#note(text(navigator.onLine ? "reconnecting" : "offline")), NOTE_AFTER);
    this.#timers.poll ||= setInterval(() => document.visibilityState === "visible" && send("poll"), POLL);
    // Half fixed, half chance: a restarted server is not met by everybody at once.
    this.#timers.retry = setTimeout(() => this.#connect(), this.#wait / 2 + (Math.random() * this.#wait) / 2);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  #now() {
    clearTimeout(this.#timers.retry);
    this.#wait = FIRST_WAIT;
    this.#connect();
  }

  #visibility() {
    clearTimeout(this.#timers.rest);
    if (document.visibilityState === "hidden") {
      if (this.#wanted) this.#timers.rest = setTimeout(() => this.#rest(), REST_AFTER);
    } else if (document.documentElement.dataset.live === "resting") {
      this.start();
    } else if (this.#wanted) {
      this.#now();
    }
  }

  #rest() {
    this.stop();
    document.documentElement.dataset.live = "resting";
  }

  #note(message, link = null) {
    const box = document.getElementById("connection");
    if (!box) return;
    box.hidden = !message;
    box.querySelector("p").textContent = message;
    const anchor = box.querySelector("a");
    anchor.hidden = !link;
    if (link) [anchor.textContent, anchor.href] = link;
  }
}

let current = null;

/** Connect <body data-campaign="12"> or <body data-socket="/ws/workers/">; at most one connection to a page. */
export function watch() {
  const { campaign, socket } = document.body.dataset;
  const path = campaign ? `/ws/campaign/${campaign}/` : socket;
  if (!path || current) return;
  current = new Live(path);
  current.start();
}
