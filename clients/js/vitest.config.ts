// Tests run in plain Node: browser APIs are passed in as fakes (test/support).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { environment: 'node', include: ['test/**/*.test.ts'], restoreMocks: true },
});
