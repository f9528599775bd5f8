// What users do while signed in: read (80 %), report activity (15 %), refresh tokens (4 %), log in
// (1 %).
import { sleep } from 'k6';
import { activity, login, refresh, session, signUp } from './api.js';

// One user and the current session, for each virtual user of k6.
let me;

export function mixed() {
  me = me || signUp('steady');
  if (Date.now() > me.renewAt) refresh(me);
  const dice = Math.random() * 100;
  if (dice < 80) session(me);
  else if (dice < 95) activity(me);
  else if (dice < 99) refresh(me);
  else me = login(me.email) || me;
  sleep(Number(__ENV.THINK || 0.05) * (0.5 + Math.random()));
}
