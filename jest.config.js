/* global module */
/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  setupFiles: ['<rootDir>/test/support/environment.ts'],
  testSequencer: '<rootDir>/test/support/faults-first.js',
  testTimeout: 60_000,
  transform: {
    '^.+\\.(t|j|mj)s$': [
      '@swc/jest',
      {
        sourceMaps: 'inline',
        module: { type: 'commonjs' },
        jsc: { target: 'es2022', parser: { syntax: 'typescript', decorators: false } },
      },
    ],
  },
  // jose ships ES modules only, which jest has to translate.
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
};
