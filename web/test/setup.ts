// Tests speak as the page does: when its texts are there.
import { ready } from '../src/i18n';
import '../src/texts/publish';
import '../src/texts/system';

await ready;
