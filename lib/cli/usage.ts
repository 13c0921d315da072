/** Wrong use of a verb: printed without a stack, exit code 2. */
export class UsageError extends Error {}

/** Splits `-o DIR`-like options from positional arguments. `flags` take no value, `values` take one. */
export function parseArgs(
  verb: string,
  args: readonly string[],
  flags: readonly string[],
  values: readonly string[],
): { files: string[]; flags: Set<string>; values: Map<string, string>; rest: string[] } {
  const out = {
    files: [] as string[],
    flags: new Set<string>(),
    values: new Map<string, string>(),
    rest: [] as string[],
  };
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (a === '--') {
      out.rest = args.slice(i + 1);
      break;
    }
    const eq = a.startsWith('--') ? a.indexOf('=') : -1;
    const name = eq > 0 ? a.slice(0, eq) : a;
    if (values.includes(name)) {
      const v = eq > 0 ? a.slice(eq + 1) : args[++i];
      if (v === undefined) throw new UsageError(`${verb}: option ${name} needs a value`);
      out.values.set(name, v);
    } else if (flags.includes(a)) out.flags.add(a);
    else if (a.startsWith('-') && a.length > 1) {
      throw new UsageError(
        `${verb}: unknown option "${a}", expected one of: ${[...flags, ...values].join(', ') || 'none'}`,
      );
    } else out.files.push(a);
  }
  return out;
}
