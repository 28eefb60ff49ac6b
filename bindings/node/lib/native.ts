/**
 * The native half, as `napi build` makes it. Nothing but this package is to use it: what it takes and returns changes
 * with every build.
 */

import type * as Native from '../native.js'

// eslint-disable-next-line @typescript-eslint/no-require-imports
export const native = require('../native.js') as typeof Native
export type { Native }
