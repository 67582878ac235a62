// Tests speak as the page does: when its texts are there.
import { ready } from '../src/i18n';

await ready;
