// The package types its main file only; the page uses the half of it that draws with elements.
declare module "danmaku/dist/esm/danmaku.dom.js" {
  export { default } from "danmaku";
}
