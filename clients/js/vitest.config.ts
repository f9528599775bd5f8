// Tests run in plain Node: what belongs to a browser is handed in as fakes (test/support).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { environment: 'node', include: ['test/**/*.test.ts'], restoreMocks: true },
});
