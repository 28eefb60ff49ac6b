/**
 * Trace context in properties of messages: what is sent carries the context that is active then, and
 * `propagation.extract(message)` reads it in a consumer.
 *
 * `@opentelemetry/api` is used if the application has it; `use` takes another one, or none. With OpenTelemetry's default
 * propagator the properties are the W3C's `traceparent` and `tracestate`. Properties that a message has are left as they are.
 */

import type { Message } from './message.js'
import type { ReceivedMessage } from './received.js'

/** What is used of `@opentelemetry/api`. */
export interface TraceApi<Context = unknown> {
  context: { active(): Context }
  propagation: {
    inject(context: Context, carrier: Record<string, string>): void
    extract(context: Context, carrier: Readonly<Record<string, string>>): Context
  }
}

let used: TraceApi | undefined
let looked = false

/** Uses this API from now on; `undefined` for none. */
export function use<Context>(api: TraceApi<Context> | undefined): void {
  used = api as TraceApi | undefined
  looked = true
}

function api(): TraceApi | undefined {
  if (!looked) {
    looked = true
    try {
      used = require('@opentelemetry/api') as TraceApi
    } catch {
      // The application does not trace.
    }
  }
  return used
}

/** The context that a message carries: to be made active (`context.with`) while it is handled. */
export function extract(message: ReceivedMessage): unknown {
  const { context, propagation } = api() ?? {}
  return propagation?.extract(context?.active(), message.properties)
}

/** @internal The properties of a message that is sent now. */
export function carried(message: Message): Readonly<Record<string, string>> | undefined {
  const found = looked ? used : api()
  if (found === undefined) {
    return message.properties
  }
  const carrier: Record<string, string> = {}
  found.propagation.inject(found.context.active(), carrier)
  for (const _ in carrier) {
    return { ...carrier, ...message.properties }
  }
  return message.properties
}
