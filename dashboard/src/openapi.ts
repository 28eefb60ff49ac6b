// The parts of an OpenAPI 3.1 document that the API page shows: operations, their parameters, an example of a body.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  example?: unknown;
  examples?: unknown[];
  format?: string;
  required?: string[];
  description?: string;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header" | "cookie";
  required?: boolean;
  description?: string;
  schema?: Schema;
  example?: unknown;
}

interface RawOperation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content?: Record<string, { schema?: Schema; example?: unknown }> };
  responses?: Record<string, { description?: string; content?: Record<string, unknown> }>;
}

export interface Document {
  info?: { title?: string; version?: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths?: Record<string, Record<string, unknown>>;
  components?: { schemas?: Record<string, Schema>; parameters?: Record<string, Parameter> };
}

export interface Operation {
  /** `GET /v1/topics`: unique in a document. */
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  /** Content types that a body may have, each with an example of one. */
  bodies: { type: string; example: string }[];
  responses: { status: string; description: string; types: string[] }[];
}

const METHODS = ["get", "post", "put", "patch", "delete"];

/** All operations, by their tags in the document's order. */
export function operations(document: Document): Operation[] {
  const tags = document.tags?.map((tag) => tag.name) ?? [];
  const at = (tag: string): number => (tags.includes(tag) ? tags.indexOf(tag) : tags.length);
  return unsorted(document).sort((a, b) => at(a.tag) - at(b.tag));
}

function unsorted(document: Document): Operation[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => {
      const raw = item[method] as RawOperation;
      const shared = (item["parameters"] as Parameter[] | undefined) ?? [];
      const text = raw.description ?? "";
      return {
        id: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        tag: raw.tags?.[0] ?? "other",
        summary: raw.summary ?? text.split("\n")[0] ?? "",
        // Lines are broken where the source's are: only an empty one means something.
        description: text.replace(/([^\n])\n(?!\n)/g, "$1 "),
        parameters: [...shared, ...(raw.parameters ?? [])].map((parameter) => resolved(document, parameter)),
        bodies: Object.entries(raw.requestBody?.content ?? {}).map(([type, content]) => ({
          type,
          example: bodyExample(document, type, content),
        })),
        responses: Object.entries(raw.responses ?? {}).map(([status, response]) => ({
          status,
          description: response.description ?? "",
          types: Object.keys(response.content ?? {}),
        })),
      };
    }),
  );
}

/** The address of a request, with what was filled in; what was left empty in the query is left out. */
export function address(operation: Operation, values: Record<string, string>): string {
  const query = new URLSearchParams();
  for (const parameter of operation.parameters) {
    const value = values[parameter.name];
    if (parameter.in === "query" && value) query.set(parameter.name, value);
  }
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
  return query.size > 0 ? `${path}?${query}` : path;
}

/** A value that fits a schema, as far as the schema says what fits. */
export function example(document: Document, schema: Schema | undefined, depth = 0): unknown {
  if (!schema || depth > 8) return null;
  if (schema.$ref) return example(document, referred(document, schema.$ref), depth + 1);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum?.length) return schema.enum[0];
  if (schema.allOf?.length) return Object.assign({}, ...schema.allOf.map((part) => example(document, part, depth + 1)));
  const one = (schema.oneOf ?? schema.anyOf)?.find((each) => each.type !== "null");
  if (one) return example(document, one, depth + 1);
  const types = Array.isArray(schema.type) ? schema.type : [schema.type];
  const type = types.find((each) => each !== "null");
  if (type === "object" || schema.properties) {
    // What may be left out is left out, unless that would leave nothing to start from.
    const all = Object.entries(schema.properties ?? {});
    const needed = all.filter(([name]) => schema.required?.includes(name));
    return Object.fromEntries((needed.length ? needed : all).map(([name, part]) => [name, example(document, part, depth + 1)]));
  }
  if (type === "array") return schema.items ? [example(document, schema.items, depth + 1)] : [];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  if (type === "string") return schema.format === "date-time" ? new Date(0).toISOString() : "";
  return null;
}

function bodyExample(document: Document, type: string, content: { schema?: Schema; example?: unknown }): string {
  const value = content.example ?? example(document, content.schema);
  if (typeof value === "string") return value;
  if (type.includes("ndjson")) return `${JSON.stringify(value)}\n`;
  return type.includes("json") ? JSON.stringify(value, null, 2) : "";
}

function resolved(document: Document, parameter: Parameter & { $ref?: string }): Parameter {
  const found = parameter.$ref ? (document.components?.parameters?.[parameter.$ref.split("/").pop() ?? ""] ?? parameter) : parameter;
  const schema = whole(document, found.schema);
  return schema ? { ...found, schema } : found;
}

/** A schema that may be another's name, or one that may also be null, as the one that values have. */
function whole(document: Document, schema: Schema | undefined): Schema | undefined {
  const one = (schema?.oneOf ?? schema?.anyOf)?.filter((each) => each.type !== "null");
  const only = one?.length === 1 ? one[0] : schema;
  return only?.$ref ? referred(document, only.$ref) : only;
}

function referred(document: Document, ref: string): Schema | undefined {
  return document.components?.schemas?.[ref.split("/").pop() ?? ""];
}
