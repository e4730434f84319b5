import { href, route } from "../../route";
import { may } from "../../session";
import { Empty, Foreign, Page } from "../../ui";
import { navigation, viewOf } from "../index";

export default function View() {
  const items = navigation.flat().filter(({ path }) => {
    const { right } = viewOf(path);
    return right === undefined || may(right);
  });
  return (
    <Page title="No such view">
      <div class="card">
        <Empty title="This address leads nowhere.">
          <p>
            There is no view <Foreign text={`#/${route.value.path.join("/")}`} />. It may have been mistyped,
            or cut off when it was sent. These are the views that you may see:
          </p>
          <ul class="row" aria-label="Views">
            {items.map(({ title, plain, path }) => (
              <li key={path}>
                <a class="button" href={href(path)}>
                  {plain !== undefined && !may("administrator") ? plain : title}
                </a>
              </li>
            ))}
          </ul>
        </Empty>
      </div>
    </Page>
  );
}
