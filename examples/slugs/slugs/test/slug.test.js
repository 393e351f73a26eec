import assert from "node:assert/strict";
import test from "node:test";

import { slug } from "../src/index.js";

test("words are joined by hyphens", () => {
  assert.equal(slug("Hello, World!"), "hello-world");
  assert.equal(slug("  Route 66 "), "route-66");
});

test("a title without letters and digits is refused", () => {
  assert.throws(() => slug("?!"), RangeError);
});
