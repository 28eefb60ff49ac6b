// JSON laid out in lines without being read as numbers and strings: 9007199254740993 stays what it is. Pure functions.

/** The same JSON, indented; `undefined` where the text is none. */
export function indented(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  let depth = 0;
  const line = (): string => `\n${"  ".repeat(depth)}`;
  // Strings whole, each sign of structure, and whatever else stands between: numbers and words.
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let laid = "";
  tokens.forEach((token, n) => {
    switch (token) {
      case "{":
      case "[":
        depth += 1;
        laid += token;
        if (!isEnd(tokens[n + 1])) laid += line();
        break;
      case "}":
      case "]":
        depth -= 1;
        laid += isStart(tokens[n - 1]) ? token : line() + token;
        break;
      case ",":
        laid += token + line();
        break;
      case ":":
        laid += ": ";
        break;
      default:
        laid += token;
    }
  });
  return laid;
}

function isStart(token: string | undefined): boolean {
  return token === "{" || token === "[";
}

function isEnd(token: string | undefined): boolean {
  return token === "}" || token === "]";
}
