// What a dashboard of ours must be: Grafana's schema, narrowed to the panels and queries that we use, with each enum as
// the values that stand in JSON.
import type { Dashboard, Panel, RowPanel } from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as statetimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Json<T> = T extends string
  ? `${T}`
  : T extends Array<infer Item>
    ? Json<Item>[]
    : T extends object
      ? { [Key in keyof T]: Json<T[Key]> }
      : T;

type Source = { type: "influxdb"; uid: "${datasource}" };

type Target = {
  refId: string;
  datasource: Source;
  rawQuery: true;
  query: string;
  resultFormat: "time_series" | "table";
  alias?: string;
};

type Marks = Omit<NonNullable<NonNullable<Dashboard["annotations"]>["list"]>[number], "target"> & {
  target: {
    refId: string;
    query: string;
    queryType: "tags";
    fromAnnotations: true;
    textColumn: string;
    tagsColumn: string;
    limit: number;
    matchAny: boolean;
    tags: string[];
    type: string;
  };
};

type Config = NonNullable<Panel["fieldConfig"]>;
type Filled = "title" | "description" | "gridPos" | "id";
type Kind<Type, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig" | "targets" | "datasource" | Filled> &
  Required<Pick<Panel, Filled>> & {
    type: Type;
    datasource: Source;
    targets: Target[];
    options: Partial<Options>;
    fieldConfig: Omit<Config, "defaults"> & {
      defaults: Omit<Config["defaults"], "custom"> & { unit: string; custom?: Partial<Custom> };
    };
  };

type Panels =
  | Kind<"bargauge", bargauge.Options, object>
  | Kind<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | Kind<"stat", stat.Options, object>
  | Kind<"state-timeline", statetimeline.Options, statetimeline.FieldConfig>
  | Kind<"table", table.Options, table.FieldConfig>
  | Kind<"timeseries", timeseries.Options, timeseries.FieldConfig>;

export type Board = Json<
  Omit<Dashboard, "panels" | "annotations"> & { annotations: { list: Marks[] }; panels: (Panels | RowPanel)[] }
>;
