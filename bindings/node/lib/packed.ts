/**
 * The form in which much crosses to the native half at once: numbers in little-endian order, texts after their length.
 *
 * `src/packed.rs` is the other side of it. Both are of one build, so nothing of it has to be kept compatible.
 */

/** In the place of a length: there is no such text. */
const NONE = 0xffff_ffff
/** Texts up to this length are written and read letter by letter, which costs less than a call. */
const SHORT = 48
/** What a packer keeps of its memory between uses. */
const KEPT_BYTES = 512 * 1024

/** Writes what the native half reads. */
export class Packer {
  #buffer = Buffer.allocUnsafeSlow(16 * 1024)
  #view = new DataView(this.#buffer.buffer)
  #at = 0

  /** Bytes that are written. */
  get length(): number {
    return this.#at
  }

  /** What is written, until it is written to again. */
  get packed(): Uint8Array {
    return this.#buffer.subarray(0, this.#at)
  }

  /** Forgets what was written from `length` on. */
  cut(length = 0): void {
    this.#at = length
    if (length === 0 && this.#buffer.length > KEPT_BYTES) {
      this.#grow(16 * 1024)
    }
  }

  u8(value: number): void {
    this.#room(1)
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  /** Writes the length of what follows, once `end` is told where that was. */
  begin(): number {
    this.u32(0)
    return this.#at
  }

  end(begun: number): void {
    this.#view.setUint32(begun - 4, this.#at - begun, true)
  }

  i32(value: number): void {
    this.#room(4)
    this.#view.setInt32(this.#at, value, true)
    this.#at += 4
  }

  number(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  bytes(value: Uint8Array): void {
    this.#room(4 + value.length)
    this.#view.setUint32(this.#at, value.length, true)
    this.#buffer.set(value, this.#at + 4)
    this.#at += 4 + value.length
  }

  text(value: string): void {
    if (typeof value !== 'string') throw new TypeError(`a string was expected, not ${typeof value}`)
    const length = value.length
    this.#room(4 + 3 * length)
    const start = this.#at + 4
    let written = 0
    if (length <= SHORT) {
      const buffer = this.#buffer
      for (; written < length; written++) {
        const code = value.charCodeAt(written)
        if (code > 127) {
          written = -1
          break
        }
        buffer[start + written] = code
      }
    }
    if (length > SHORT || written < 0) {
      written = this.#buffer.write(value, start, 'utf8')
    }
    this.#view.setUint32(this.#at, written, true)
    this.#at = start + written
  }

  #room(count: number): void {
    if (this.#at + count > this.#buffer.length) {
      this.#grow(Math.max(this.#buffer.length * 2, this.#at + count))
    }
  }

  #grow(size: number): void {
    const before = this.#buffer
    this.#buffer = Buffer.allocUnsafeSlow(size)
    before.copy(this.#buffer, 0, 0, this.#at)
    this.#view = new DataView(this.#buffer.buffer)
  }
}

/** Reads what the native half wrote. */
export class Unpacker {
  readonly buffer: Buffer
  readonly view: DataView
  at: number

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    this.at = at
  }

  u8(): number {
    return this.view.getUint8(this.at++)
  }

  u16(): number {
    this.at += 2
    return this.view.getUint16(this.at - 2, true)
  }

  u32(): number {
    this.at += 4
    return this.view.getUint32(this.at - 4, true)
  }

  number(): number {
    this.at += 8
    return this.view.getFloat64(this.at - 8, true)
  }

  text(): string {
    return this.textOf(this.u32())
  }

  /** A text, or none. */
  textIfAny(): string | undefined {
    const length = this.u32()
    return length === NONE ? undefined : this.textOf(length)
  }

  /** A text of so many bytes. */
  textOf(length: number): string {
    const start = this.at
    this.at += length
    return this.buffer.toString('utf8', start, this.at)
  }

  bytes(): Buffer {
    const length = this.u32()
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }
}
