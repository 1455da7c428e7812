/** What the tab remembers until it is closed. */

export const storage = sessionStorageOrMemory();

/** Browsers told to keep nothing for a page throw where its storage is named. */
function sessionStorageOrMemory() {
  try {
    return window.sessionStorage;
  } catch {
    const memory = new Map();
    return {
      getItem: (key) => memory.get(key) ?? null,
      setItem: (key, value) => memory.set(key, value),
      removeItem: (key) => memory.delete(key),
    };
  }
}
