// A vendored library that is no module: it leaves its name in the global scope.

const loading = new Map();

export function classic(path, name) {
  if (!loading.has(path)) {
    loading.set(
      path,
      new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = new URL(path, document.baseURI).href;
        script.onload = () => resolve(globalThis[name]);
        script.onerror = () => reject(new Error(`${path} could not be read`));
        document.head.append(script);
      }),
    );
  }
  return loading.get(path);
}
