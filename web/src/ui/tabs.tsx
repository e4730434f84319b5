/** Parts of a view. Each is an address, so they are links rather than ARIA tabs. */
export function Tabs({
  label,
  current,
  tabs,
}: {
  label: string;
  current: string;
  tabs: readonly { id: string; title: string; href: string }[];
}) {
  return (
    <nav class="tabs" aria-label={label}>
      <ul>
        {tabs.map(({ id, title, href }) => (
          <li key={id}>
            <a href={href} aria-current={id === current ? "page" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
