// The small table at the end of a run. The whole summary goes to the file named by SUMMARY.
export function summary(data) {
  const out = { stdout: table(data) };
  if (__ENV.SUMMARY) out[__ENV.SUMMARY] = JSON.stringify(data, null, 2);
  return out;
}

function table(data) {
  const rows = [['', 'count', 'per s', 'median', 'p95', 'p99', 'max']];
  const seconds = data.state.testRunDurationMs / 1000;
  for (const [name, metric] of Object.entries(data.metrics).sort()) {
    const timed = metric.type === 'trend' && (name.includes('{op:') || !metric.contains.includes('time') || isOwn(name));
    if (!timed || metric.values.count === 0) continue;
    const v = metric.values;
    const times = [v.med, v['p(95)'], v['p(99)'], v.max].map(ms);
    rows.push([label(name), `${v.count}`, (v.count / seconds).toFixed(1), ...times]);
  }
  const lines = align(rows);
  for (const [name, metric] of Object.entries(data.metrics).sort()) {
    if (metric.type === 'counter' && isOwn(name)) lines.push(`${label(name)}: ${metric.values.count}`);
  }
  lines.push('', ...verdicts(data.metrics), ...failedChecks(data.root_group));
  return `\n${lines.join('\n')}\n`;
}

// k6's own metrics have these beginnings.
function isOwn(name) {
  return !/^(http_|iteration|vus|data_|checks|ws_|group_|dropped_)/.test(name);
}

function label(name) {
  const op = name.match(/\{op:(\w+)\}/);
  return op ? op[1] : name.replace(/_/g, ' ');
}

function ms(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  '));
}

function verdicts(metrics) {
  const lines = [];
  for (const [name, metric] of Object.entries(metrics).sort()) {
    for (const [threshold, { ok }] of Object.entries(metric.thresholds || {})) {
      lines.push(`${ok ? 'held  ' : 'BROKEN'}  ${name}  ${threshold}`);
    }
  }
  return lines;
}

// Which checks failed: the threshold on `checks` says only that some did.
function failedChecks(group) {
  const own = group.checks
    .filter(({ fails }) => fails > 0)
    .map(({ name, passes, fails }) => `FAILED  ${name}  ${fails} of ${passes + fails}`);
  return [...own, ...group.groups.flatMap(failedChecks)];
}
