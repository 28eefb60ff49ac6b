// Builds the native half: `ferromq.PLATFORM.node`, native.js, which loads that of the platform, and its types, native.d.ts.
//
//     node scripts/build.mjs [--profile PROFILE] [--target TRIPLE] [--zig]
//
// It is what `napi build` does, with napi-rs's own generators, but for where Cargo builds: among what else is built of the
// workspace, where `napi build` would build all dependencies once more. With --zig, cargo-zigbuild links against the old libcs
// of wheels, so that it runs wherever there is that one or a newer one.
//
// Always true: what is not built by the profile `dev` has no symbols in it.

import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { generateTypeDef, parseTriple, readNapiConfig, writeJsBinding } from '@napi-rs/cli'

/** The oldest glibc that Rust's own library runs with. */
const GLIBC = '2.17'

const root = fileURLToPath(new URL('..', import.meta.url))
const { profile, target, zig } = parseArgs({
  options: {
    profile: { type: 'string', default: 'dev' },
    target: { type: 'string' },
    zig: { type: 'boolean', default: false },
  },
}).values
const triple = target ?? execFileSync('rustc', ['--print', 'host-tuple'], { encoding: 'utf8' }).trim()

// The types are written by macros, when they are expanded: Cargo is told where, and builds anew where there are none.
const types = join(root, '.types', `${triple}-${profile}`)
const env = { ...process.env, NAPI_TYPE_DEF_TMP_FOLDER: types }
if (!existsSync(types)) {
  mkdirSync(types, { recursive: true })
  env.NAPI_FORCE_BUILD_FERROMQ_NODE = String(Date.now())
}
if (triple.includes('musl')) {
  // What is loaded into a process has its libc.
  env[`CARGO_TARGET_${triple.toUpperCase().replaceAll('-', '_')}_RUSTFLAGS`] = '-C target-feature=-crt-static'
}

const cargo = [zig ? 'zigbuild' : 'rustc', '--locked', '--package', 'ferromq-node', '--lib', '--profile', profile]
cargo.push('--message-format', 'json-render-diagnostics')
if (target !== undefined) {
  cargo.push('--target', zig && triple.endsWith('gnu') ? `${triple}.${GLIBC}` : triple)
}
if (!zig && profile !== 'dev') {
  cargo.push('--', '-C', 'strip=symbols')
}
let told
try {
  const options = { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] }
  told = execFileSync(process.env.CARGO ?? 'cargo', cargo, options)
} catch (error) {
  rmSync(types, { recursive: true, force: true })
  console.error(`cargo ${cargo.join(' ')}: ${error.code ?? `exit code ${error.status}`}`)
  process.exit(1)
}
const { filenames } = told
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .findLast(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'ferromq_node')
const library = filenames.find((file) => /\.(so|dylib|dll)$/.test(file))

const { binaryName, packageName, packageJson } = await readNapiConfig(join(root, 'package.json'))
const binary = join(root, `${binaryName}.${parseTriple(triple).platformArchABI}.node`)
// Whoever has the one before loaded keeps that.
copyFileSync(library, `${binary}.new`)
renameSync(`${binary}.new`, binary)
const { exports, dts } = await generateTypeDef({ typeDefDir: types, cwd: root })
writeFileSync(join(root, 'native.d.ts'), dts)
await writeJsBinding({
  platform: true,
  idents: exports,
  jsBinding: 'native.js',
  binaryName,
  packageName,
  version: packageJson.version,
  outputDir: root,
})
