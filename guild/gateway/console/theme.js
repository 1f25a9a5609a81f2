// The theme that was chosen, before anything is painted; a classic script, since modules run later.

{
  const KEY = "guildbus theme";
  const root = document.documentElement;
  const set = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const kept = () => {
    try {
      return localStorage.getItem(KEY) ?? "system";
    } catch {
      return "system"; // storage is switched off
    }
  };
  set(kept());
  globalThis.guildbusTheme = {
    get: kept,
    choose(theme) {
      set(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // it holds for this page
      }
    },
  };
}
