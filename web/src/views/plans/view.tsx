import type { ViewProps } from "../index";
import { PlanList } from "./list";
import { PlanPage } from "./plan";

export default function View({ path, params }: ViewProps) {
  const [, id] = path;
  return id === undefined ? <PlanList params={params} /> : <PlanPage key={id} id={id} params={params} />;
}
