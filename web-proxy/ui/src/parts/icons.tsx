// The page's own drawings, inline so that they take the text's colour. All are decoration: the text beside them says the same.
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

export const SearchIcon = () => <Icon><circle cx="11" cy="11" r="6.5" /><path d="m16 16 4.5 4.5" /></Icon>;
export const UploadIcon = () => <Icon><path d="M12 15.5V4m0 0L7.5 8.5M12 4l4.5 4.5M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3" /></Icon>;
export const CloseIcon = () => <Icon><path d="m6 6 12 12M18 6 6 18" /></Icon>;
export const FilmIcon = () => <Icon><rect x="3" y="5" width="18" height="14" rx="3" /><path d="M10 9.2v5.6l4.8-2.8z" /></Icon>;
export const TrashIcon = () => <Icon><path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 11v5M14 11v5" /></Icon>;
export const EditIcon = () => <Icon><path d="M4 20h4L19 9l-4-4L4 16zM13 7l4 4" /></Icon>;
export const LinkIcon = () => <Icon><path d="M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.1-1.1" /></Icon>;
export const DownloadIcon = () => <Icon><path d="M12 4v11.5m0 0 4.5-4.5M12 15.5 7.5 11M4 20h16" /></Icon>;
export const PersonIcon = () => <Icon><circle cx="12" cy="8.5" r="4" /><path d="M4.5 20c1-3.7 4-5.5 7.5-5.5s6.5 1.8 7.5 5.5" /></Icon>;
export const CheckIcon = () => <Icon><path d="m5 12.5 4.5 4.5L19 7.5" /></Icon>;
export const AlertIcon = () => <Icon><path d="M12 8v5M12 16.5v.1M10.3 4.3 2.9 17.2A2 2 0 0 0 4.6 20h14.8a2 2 0 0 0 1.7-2.8L13.7 4.3a2 2 0 0 0-3.4 0z" /></Icon>;

/** The mark: a gate with the stream going through it. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect class="mark-ground" width="32" height="32" rx="9" />
    <path class="mark-play" d="M13 7.2v9.6c0 1 1 1.5 1.8 1l7-4.8c.7-.5.7-1.5 0-2l-7-4.8c-.8-.5-1.8 0-1.8 1z" />
    <path class="mark-wave" d="M5.5 23.5c3.5-3 7-3 10.5 0s7 3 10.5 0" />
  </svg>
);
