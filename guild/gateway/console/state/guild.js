// The guild that this console shows, and what the caller may do.

import { createContext, useContext } from "../vendor/htm-preact.js";

export const GuildContext = createContext(null);

export function useGuild() {
  const guild = useContext(GuildContext);
  return { guild, may: (scope) => mayOf(guild, scope) };
}

export function mayOf(guild, scope) {
  return Boolean(guild?.caller?.scopes?.includes(scope));
}

export function has(guild, feature) {
  return Boolean(guild?.features?.includes(feature));
}
