// How long to wait before trying again: doubling, half of it random, so that clients do not all
// reconnect at once when the service is back.
const BASE_MS = 500;
const MOST_MS = 30_000;
/** `attempt` counts from 0. */
export function backoffMs(attempt, random) {
    const ceiling = Math.min(MOST_MS, BASE_MS * 2 ** Math.min(attempt, 16));
    return ceiling / 2 + (ceiling / 2) * random();
}
/** After a planned restart another node is available at once; reconnects are spread over one second. */
export function soonMs(random) {
    return 100 + 900 * random();
}
