export function Brand() {
  return (
    <span class="brand">
      <img src="/assets/icon.svg" alt="" width="26" height="26" />
      Zonepulse
    </span>
  );
}
