// Title, description and visibility: the same fields when uploading and when editing.
import { MOST_DESCRIPTION, MOST_TITLE } from "../checks";
import { useText } from "../language";
import type { Visibility } from "../types";
import { AreaField, TextField } from "./field";

export interface Details {
  title: string;
  description: string;
  visibility: Visibility;
}

export const emptyDetails: Details = { title: "", description: "", visibility: "public" };

interface Props {
  details: Details;
  onDetails: (details: Details) => void;
  /** Not where several videos share the rest. */
  withTitle?: boolean;
  complaints: { title?: string | undefined; description?: string | undefined };
}

export function VideoFields({ details, onDetails, withTitle = true, complaints }: Props) {
  const t = useText();
  const over = (value: string, most: number) => ([...value].length > most ? t.form.tooLong(most) : undefined);
  return (
    <>
      {withTitle && (
        <TextField
          label={t.form.title}
          value={details.title}
          onValue={(title) => onDetails({ ...details, title })}
          complaint={complaints.title ?? over(details.title, MOST_TITLE)}
          testid="video-title"
        />
      )}
      <AreaField
        label={t.form.description}
        optional
        value={details.description}
        onValue={(description) => onDetails({ ...details, description })}
        complaint={complaints.description ?? over(details.description, MOST_DESCRIPTION)}
        testid="video-description"
      />
      <fieldset class="choices">
        <legend>{t.form.visibility}</legend>
        {(["public", "unlisted", "private"] as const).map((value) => (
          <label key={value} class="choice">
            <input
              type="radio"
              name="visibility"
              value={value}
              checked={details.visibility === value}
              onChange={() => onDetails({ ...details, visibility: value })}
              data-testid={`visibility-${value}`}
            />
            <span>
              <strong>{t.form.visibilities[value]}</strong>
              <span class="hint">{t.form.visibilityHints[value]}</span>
            </span>
          </label>
        ))}
      </fieldset>
    </>
  );
}
