// What can be set in the environment of a run: DURATION, VUS, SLOW.
export function duration(standard) {
  return __ENV.DURATION || standard;
}

export function vus(standard) {
  return Number(__ENV.VUS || standard);
}

// A threshold of that many milliseconds, times SLOW (1): for debug builds and busy machines.
export function within(percentile, milliseconds) {
  return `p(${percentile})<${milliseconds * Number(__ENV.SLOW || 1)}`;
}

// Thresholds that apply in every scenario.
export const ALWAYS = {
  checks: ['rate>0.999'],
  http_req_failed: ['rate<0.001'],
};

export const TREND_STATS = ['avg', 'med', 'p(95)', 'p(99)', 'max', 'count'];
