import { Card, Page } from "../../ui";
import { href } from "../../route";
import { may } from "../../session";
import type { ViewProps } from "../index";
import { AddZone } from "./add";
import { SourceChoice, sourceOf } from "./first";
import { ZoneList } from "./list";
import { ZonePage } from "./zone";

function Add({ params }: { params: URLSearchParams }) {
  const source = sourceOf(params);
  return (
    <Page
      title="Add zone"
      intro={
        <>
          <a href={href("zones")}>Zones</a> · From a file, or by a transfer from its primary.
        </>
      }
    >
      <div class="zones-add">
        <Card>
          {may("zones") ? (
            <>
              <SourceChoice source={source} />
              <AddZone key={source} source={source} />
            </>
          ) : (
            <p>Adding a zone needs the right to manage zones. Ask an administrator.</p>
          )}
        </Card>
      </div>
    </Page>
  );
}

export default function View({ path, params }: ViewProps) {
  const [, id] = path;
  if (id === undefined) return <ZoneList params={params} />;
  if (id === "add") return <Add params={params} />;
  return <ZonePage key={id} id={id} params={params} />;
}
