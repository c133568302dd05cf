// A form made from the JSON Schema of a type, and the JSON it makes; what has no form of its own is written as JSON.

import { useState } from "preact/hooks";

const refOf = (schema, defs) => (schema?.$ref ? refOf(defs[schema.$ref.replace("#/$defs/", "")], defs) : schema ?? {});

/** The one way of a type that may also be null, and whether it may. */
function plainOf(schema, defs) {
  const told = refOf(schema, defs);
  if (!told.anyOf) return [told, false];
  const ways = told.anyOf.map((way) => refOf(way, defs));
  const others = ways.filter((way) => way.type !== "null");
  return others.length === 1 ? [others[0], ways.length > 1] : [{}, false];
}

/** What a form begins with. */
export function firstOf(schema, defs) {
  if (schema && "default" in schema) return schema.default;
  const [told, isOptional] = plainOf(schema, defs);
  if (isOptional) return null;
  if ("default" in told) return told.default;
  if (told.enum) return told.enum[0];
  if ("const" in told) return told.const;
  if (told.type === "object" && told.properties) {
    return Object.fromEntries(Object.entries(told.properties).map(([name, part]) => [name, firstOf(part, defs)]));
  }
  return { boolean: false, string: "", array: [], object: {} }[told.type] ?? null;
}

/** Why a value can't be sent; empty where it can. */
export function wrongOf(schema, defs, value, at = "the value") {
  const [told, isOptional] = plainOf(schema, defs);
  if (value === undefined) return `${at} is no JSON.`;
  if (value === null) return isOptional || !told.type || told.type === "null" ? "" : `${at} is missing.`;
  if (told.type === "integer" && !Number.isInteger(value)) return `${at} is no whole number.`;
  if (told.type === "array" && Array.isArray(value)) {
    return value.map((one, i) => wrongOf(told.items, defs, one, `item ${i + 1} of ${at}`)).find(Boolean) ?? "";
  }
  if (told.properties) {
    return Object.entries(told.properties).map(([name, part]) => wrongOf(part, defs, value[name], name)).find(Boolean) ?? "";
  }
  return "";
}

const hintOf = (told) => [told.format, told.minimum !== undefined && `from ${told.minimum}`, told.maximum !== undefined && `to ${told.maximum}`].filter(Boolean).join(", ");

export function Field({ name, schema, defs, value, set }) {
  const [told, isOptional] = plainOf(schema, defs);
  if (isOptional && value === null) {
    return (
      <div class="row"><span>{name}: nothing</span> <button type="button" class="plain" onClick={() => set(firstOf({ ...told, default: undefined, ...bare(told, defs) }, defs))}>Give {name}</button></div>
    );
  }
  const none = isOptional && <button type="button" class="plain" onClick={() => set(null)}>Give nothing</button>;
  if (told.enum) {
    return (
      <label>{name}
        <select value={JSON.stringify(value)} onChange={(e) => set(JSON.parse(e.target.value))}>
          {told.enum.map((one) => <option value={JSON.stringify(one)}>{String(one)}</option>)}
        </select>{none}
      </label>
    );
  }
  if (told.type === "boolean") {
    return <label class="inline"><input type="checkbox" checked={value === true} onChange={(e) => set(e.target.checked)} />{name}{none}</label>;
  }
  if (told.type === "string") {
    return <label><span>{name} <span class="hint">{hintOf(told)}</span></span><input type="text" value={value ?? ""} onInput={(e) => set(e.target.value)} />{none}</label>;
  }
  if (told.type === "integer" || told.type === "number") {
    const read = (text) => (text === "" ? null : Number(text));
    return (
      <label><span>{name} <span class="hint">{told.type === "integer" ? "whole number" : "number"} {hintOf(told)}</span></span>
        <input type="number" step={told.type === "integer" ? 1 : "any"} value={value ?? ""} onInput={(e) => set(read(e.target.value))} />{none}
      </label>
    );
  }
  if (told.type === "array" && told.items) return <Items name={name} told={told} defs={defs} value={value ?? []} set={set} none={none} />;
  if (told.type === "object" && told.properties) {
    return (
      <fieldset>
        <legend>{name}</legend>
        {Object.entries(told.properties).map(([part, inner]) => (
          <Field key={part} name={part} schema={inner} defs={defs} value={value?.[part] ?? null} set={(one) => set({ ...value, [part]: one })} />
        ))}
        {none}
      </fieldset>
    );
  }
  return <AsJson name={name} value={value} set={set} />;
}

/** A schema whose form begins with something, of one that may be left out. */
const bare = (told, defs) => ({ default: told.type === "integer" || told.type === "number" ? 0 : firstOf(told, defs) });

const Items = ({ name, told, defs, value, set, none }) => (
  <fieldset>
    <legend>{name}</legend>
    {value.map((one, i) => (
      <div class="row" key={i}>
        <Field name={`item ${i + 1}`} schema={told.items} defs={defs} value={one} set={(next) => set(value.map((old, j) => (j === i ? next : old)))} />
        <button type="button" class="plain" onClick={() => set(value.filter((_, j) => j !== i))}>Remove item {i + 1}</button>
      </div>
    ))}
    <div class="row"><button type="button" onClick={() => set([...value, firstOf(told.items, defs)])}>Add an item</button>{none}</div>
  </fieldset>
);

export function AsJson({ name, value, set }) {
  const [text, setText] = useState(value === null || value === undefined ? "" : JSON.stringify(value));
  const typed = (given) => {
    setText(given);
    try {
      set(given.trim() ? JSON.parse(given) : null);
    } catch {
      set(undefined);
    }
  };
  return <label>{name}, as JSON<textarea rows="2" value={text} onInput={(event) => typed(event.target.value)} /></label>;
}
