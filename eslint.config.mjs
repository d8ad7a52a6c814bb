import js from '@eslint/js';
import tseslint from 'typescript-eslint';
import { builtinModules } from 'node:module';

export default tseslint.config(
  { ignores: ['dist/**', '.stack/**', 'coverage/**', 'bench/results/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked.map((c) => ({ ...c, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      eqeqeq: 'error',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    // Where something is made of each message: V8 gives what a spread makes a hidden class of its own
    // each time (Node 20), which costs 3 µs and stays until the next mark-compact (bench/NOTES.md).
    files: [
      'src/domain/{message,validation,records,group-records}.ts',
      'src/routing/{private-message,group-message,reservation,lanes,record-answer,answer}.ts',
      'src/routing/{offline-store,content-keys,content}.ts',
      'src/api/{route-calls,route-stream,stream-codec}.ts',
      'src/activities/redis/message-states.ts',
      'src/activities/kafka/{producer,produce-requests,produce-encoding,record}.ts',
      'src/activities/gateway/*.ts',
      'src/activities/mysql/message-rows.ts',
    ],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ObjectExpression > SpreadElement',
          message: 'Write the fields out: this is made of each message.',
        },
      ],
    },
  },
  {
    // Workflow code must be deterministic: nothing of Node, nothing that does I/O, activity *types* only.
    files: ['src/workflows/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [...builtinModules, ...builtinModules.map((m) => `node:${m}`)],
          patterns: [
            { group: ['**/activities/**', '**/routing/**', '**/api/**'], allowTypeImports: true },
          ],
        },
      ],
      'no-restricted-globals': ['error', 'process', 'setImmediate', 'fetch'],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
);
