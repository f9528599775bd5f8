// A list of devices in the page. A row exists as long as its device is in the list, so that focus
// and a screen reader's position survive every change.
import { exactTime, kindOf, nameOf, timeAgo } from './words.js';

const template = document.getElementById('device');
const MARKS = { desktop: 'desktop', mobile: 'mobile', tablet: 'tablet' };

export class DeviceRows {
  #list;
  #now;
  #end;
  /** By session id. */
  #rows = new Map();

  /** `now` returns the service's time; `end` is called with the device and its button. */
  constructor(list, now, end) {
    this.#list = list;
    this.#now = now;
    this.#end = end;
  }

  /** Shows these devices in this order; `mark` highlights those that are new. */
  render(devices, mark) {
    const ids = new Set(devices.map((device) => device.id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    devices.forEach((device, index) => {
      const row = this.#rows.get(device.id) ?? this.#add(device, mark);
      row.device = device;
      this.#fill(row);
      this.#place(row.element, index);
    });
  }

  /** Updates the times. */
  tick() {
    for (const row of this.#rows.values()) this.#fillTimes(row);
  }

  /** Where the focus goes when this device's row is removed: the next row's button, else the previous one. */
  focusAfter(id) {
    const row = this.#rows.get(id)?.element;
    return (row?.nextElementSibling ?? row?.previousElementSibling)?.querySelector('button') ?? null;
  }

  #add(device, mark) {
    const element = template.content.firstElementChild.cloneNode(true);
    const row = { element, device, part: (name) => element.querySelector(`[data-part="${name}"]`) };
    element.dataset.sessionId = device.id;
    element.classList.toggle('new', mark);
    row.part('end').addEventListener('click', (event) => this.#end(row.device, event.currentTarget));
    this.#rows.set(device.id, row);
    return row;
  }

  /** Moves a row only if its position has changed: moving takes the focus from it. */
  #place(element, index) {
    if (this.#list.children[index] !== element) this.#list.insertBefore(element, this.#list.children[index] ?? null);
  }

  #fill(row) {
    const { device, part } = row;
    const info = device.deviceInfo;
    const name = nameOf(device);
    row.element.querySelector('use').setAttribute('href', `#icon-${MARKS[info.deviceType] ?? 'other'}`);
    write(part('name'), name);
    write(part('kind'), kindOf(info));
    part('kind').hidden = kindOf(info) === name;
    write(part('address'), device.ipAddress ?? 'unknown');
    part('end').setAttribute('aria-label', device.current ? 'Sign out this device' : labelOf(device));
    this.#fillTimes(row);
  }

  #fillTimes({ device, part }) {
    const active = timeAgo(device.lastActivity, this.#now());
    writeTime(part('active'), device.lastActivity, active);
    part('active').dataset.now = String(active === 'now');
    writeTime(part('since'), device.createdAt, timeAgo(device.createdAt, this.#now()).replace('now', 'just now'));
  }
}

/** Different for each device, also where several have the same name and address. */
function labelOf(device) {
  return `Sign out ${nameOf(device)}, ${device.ipAddress ?? 'address unknown'}, signed in ${exactTime(device.createdAt)}`;
}

function writeTime(element, time, text) {
  element.dateTime = time;
  element.title = exactTime(time);
  write(element, text);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
