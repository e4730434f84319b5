import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import globals from "globals";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist", ".dev-*", "node_modules", "src/types.ts"] },
  js.configs.recommended,
  {
    files: ["src/**/*.{ts,tsx}", "tests/**/*.ts"],
    extends: [ts.configs.recommendedTypeChecked],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { "react-hooks": hooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      // The server's Content-Security-Policy refuses both.
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: "Names come from the network: render text.",
        },
        { selector: "AssignmentExpression[left.property.name='innerHTML']", message: "Render text instead." },
      ],
    },
  },
  { files: ["*.mjs", "tests/**/*.mjs"], languageOptions: { globals: globals.node } },
  // Parts of these run in the browser.
  { files: ["tests/page/*.mjs"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  // Parts of it run in the page.
  { files: ["screenshots.mjs"], languageOptions: { globals: globals.browser } },
);
